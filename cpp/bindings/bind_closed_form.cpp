// The closed forms as Python functions: one table row each; checks, broadcasting and results are common to all.
#include <algorithm>
#include <optional>

#include "bindings/arrays.h"
#include "bindings/bind.h"
#include "bindings/results.h"
#include "bindings/signature.h"
#include "bindings/without_gil.h"
#include "matgrad/closed_form.h"

namespace matgrad::bindings {
namespace {

/// Elements of a mapped file from which on its pages are worth giving back.
constexpr int64_t kLeastMapped = 1 << 20;

/// A closed form: its name, its signature and its implementation in both precisions.
struct ClosedForm {
  const char* name;
  Signature signature;
  void (*f32)(const Problems<float>&);
  void (*f64)(const Problems<double>&);
  const char* number = nullptr;  ///< the name of the number that follows the operands, if any
  bool sparse = false;           ///< whether row starts and columns of the first operand come last before `out`
};

/// Arguments of a closed form that aren't operands.
struct Extras {
  double number = 0;
  SparsePattern pattern{};
  std::optional<std::array<py::array, 2>> indices{};  ///< keeps the pattern's arrays alive
};

#define MATGRAD_BOTH(name) &closed_form::name<float>, &closed_form::name<double>

const ClosedForm kClosedForms[] = {
    {"quadratic_form", Signature("A(n,n),x(n)->()"), MATGRAD_BOTH(quadratic_form)},
    {"quadratic_form_gradient", Signature("A(n,n),x(n)->(n)"), MATGRAD_BOTH(quadratic_form_gradient)},
    {"quadratic_form_hessian", Signature("A(n,n)->(n,n)"), MATGRAD_BOTH(quadratic_form_hessian)},
    {"matvec_jacobian", Signature("A(m,n),x(n)->(m,m,n)"), MATGRAD_BOTH(matvec_jacobian)},
    {"matmul_jacobian", Signature("A(m,k),B(k,n)->(m,n,m,k),(m,n,k,n)"), MATGRAD_BOTH(matmul_jacobian)},
    {"gram_jacobian", Signature("R(m,n)->(n,n,m,n)"), MATGRAD_BOTH(gram_jacobian)},
    {"bilinear_form_gradient", Signature("a(n),b(n),x(n)->(n)"), MATGRAD_BOTH(bilinear_form_gradient)},
    {"bilinear_form_hessian", Signature("a(n),b(n)->(n,n)"), MATGRAD_BOTH(bilinear_form_hessian)},
    {"distance_gradient", Signature("x(n),a(n)->(n)"), MATGRAD_BOTH(distance_gradient)},
    {"distance_hessian", Signature("x(n),a(n)->(n,n)"), MATGRAD_BOTH(distance_hessian)},
    {"logsumexp", Signature("x(n)->()"), MATGRAD_BOTH(logsumexp)},
    {"logsumexp_gradient", Signature("x(n)->(n)"), MATGRAD_BOTH(logsumexp_gradient)},
    {"logsumexp_hessian", Signature("x(n)->(n,n)"), MATGRAD_BOTH(logsumexp_hessian)},
    {"factorization_loss", Signature("X(m,n),U(m,r),V(r,n)->()"), MATGRAD_BOTH(factorization_loss)},
    {"factorization_gradient", Signature("X(m,n),U(m,r),V(r,n)->(m,r),(r,n)"), MATGRAD_BOTH(factorization_gradient)},
    {"factorization_value_and_gradient", Signature("X(m,n),U(m,r),V(r,n),weights?(m,n)->(),(m,r),(r,n)"),
     MATGRAD_BOTH(factorization_value_and_gradient), "l2"},
    {"factorization_value_and_gradient", Signature("values(e),U(m,r),V(r,n)->(),(m,r),(r,n)"),
     MATGRAD_BOTH(factorization_observed), "l2", true},
    {"factorization_hessian", Signature("U(n,r)->(r,r)"), MATGRAD_BOTH(factorization_hessian)},
};

[[noreturn]] void shape_error(const ClosedForm& form, const std::string& what) {
  throw py::value_error(std::string(form.name) + ": " + what);
}

/// One call of a closed form: the operands, made readable for kernels, and what follows from their shapes.
template <class T>
class Call {
 public:
  Call(const ClosedForm& form, PyObject* const* operands) : form_(form), operands_(operands) {
    bind_lengths();
    broadcast_stacks();
  }

  py::object run(const Extras& extras, PyObject* out) {
    problems_.parameter = T(extras.number);
    problems_.pattern = extras.pattern;
    if (form_.sparse) check_indices((*extras.indices)[0], (*extras.indices)[1]);
    size_t count = form_.signature.outputs.size();
    bool many = count > 1;
    if (many) check_out_tuple(form_.name, out, count);
    std::array<py::object, kMaxOutputs> results, temporaries;
    for (size_t k = 0; k < count; ++k) {
      PyObject* given = many && out != Py_None ? PyTuple_GET_ITEM(out, k) : out;
      prepare_result(k, given, results[k], temporaries[k]);
    }
    if (many && out != Py_None) check_distinct(form_.name, out);
    execute();
    for (size_t k = 0; k < count; ++k) {
      if (temporaries[k]) results[k][py::ellipsis()] = temporaries[k];
    }
    for (size_t k = 0; k < count; ++k) {
      if (!results[k]) results[k] = new_scalar(scalars_[k]);
    }
    if (!many) return results[0];
    py::tuple tuple(count);
    for (size_t k = 0; k < count; ++k) tuple[k] = results[k];
    return tuple;
  }

 private:
  /// Checks how many row starts and columns there are; that they make sense is checked by the form itself.
  void check_indices(const py::array& row_starts, const py::array& columns) {
    const auto [entries, rows, rank, unused] = problems_.sizes;
    if (row_starts.size() != rows + 1 || columns.size() != entries) {
      shape_error(form_, "X.indptr has " + std::to_string(row_starts.size()) + " and X.indices " +
                             std::to_string(columns.size()) + " elements, but must have " + std::to_string(rows + 1) +
                             " and " + std::to_string(entries));
    }
  }

  /// Checks the core axes of every operand against the signature and fills in sizes.
  void bind_lengths() {
    const auto& signature = form_.signature;
    std::array<int, 4> owner;
    owner.fill(-1);
    for (size_t k = 0; k < signature.inputs.size(); ++k) {
      const CoreAxes& core = signature.inputs[k];
      if (operands_[k] == Py_None) continue;
      ArrayView view(operands_[k]);
      int core_ndim = int(core.labels.size());
      if (view.ndim() < core_ndim) {
        shape_error(form_, core.name + " has shape " + plan::shape_text(view.shape()) + " but must have at least " +
                               std::to_string(core_ndim) + (core_ndim == 1 ? " axis: " : " axes: ") +
                               signature.axes(core));
      }
      for (int axis = 0; axis < core_ndim; ++axis) {
        int label = core.labels[axis];
        int64_t length = view.length(axis - core_ndim);
        if (owner[label] < 0) {
          owner[label] = int(k);
          problems_.sizes[label] = length;
        } else if (problems_.sizes[label] != length) {
          length_error(core, view, owner[label], label);
        }
      }
    }
  }

  [[noreturn]] void length_error(const CoreAxes& core, const ArrayView& view, int owner, int label) {
    const CoreAxes& other = form_.signature.inputs[owner];
    if (other.name == core.name)
      shape_error(form_, core.name + " is " + plan::shape_text(view.shape()) + " but must be square");
    shape_error(form_, core.name + " is " + plan::shape_text(view.shape()) + " but must be " +
                           form_.signature.axes(core) + " with " + form_.signature.labels[label] + " = " +
                           std::to_string(problems_.sizes[label]) + ", because " + other.name + " is " +
                           plan::shape_text(ArrayView(operands_[owner]).shape()));
  }

  /// Broadcasts the leading axes of all operands against each other and merges stack axes where all strides allow it.
  void broadcast_stacks() {
    const auto& inputs = form_.signature.inputs;
    size_t stack_ndim = 0;
    for (size_t k = 0; k < inputs.size(); ++k) {
      if (operands_[k] == Py_None) continue;
      ArrayView view(operands_[k]);
      int core_ndim = int(inputs[k].labels.size());
      problems_.in[k].data = reinterpret_cast<const T*>(view.data());
      problems_.in[k].row_stride = core_ndim < 2         ? 0
                                   : view.length(-2) > 1 ? view.stride(-2) / int64_t(sizeof(T))
                                                         : view.length(-1);
      problems_.in[k].is_mapped = view.base() != nullptr && view.size() >= kLeastMapped &&
                                  problems_.in[k].row_stride > 0 && is_file_mapping(operands_[k]);
      stack_ndim = std::max(stack_ndim, size_t(view.ndim() - core_ndim));
    }
    if (stack_ndim == 0) return;
    stack_shape_.assign(stack_ndim, 1);
    for (size_t k = 0; k < inputs.size(); ++k) {
      if (operands_[k] == Py_None) continue;
      ArrayView view(operands_[k]);
      size_t own = size_t(view.ndim()) - inputs[k].labels.size();
      auto& strides = problems_.in[k].stack_strides;
      strides.assign(stack_ndim, 0);
      for (size_t axis = 0; axis < own; ++axis) {
        size_t target = stack_ndim - own + axis;
        int64_t length = view.length(int(axis));
        if (length == 1) continue;
        if (stack_shape_[target] != 1 && stack_shape_[target] != length) stack_error();
        stack_shape_[target] = length;
        strides[target] = view.stride(int(axis)) / int64_t(sizeof(T));
      }
    }
    problems_.stack_shape = stack_shape_;
    double count = 1;
    for (int64_t length : stack_shape_) count *= double(length);
    if (count > 0x1p62) plan::require_memory(form_.name, "the result for a stack", stack_shape_, sizeof(T), "");
    for (int64_t length : stack_shape_) problems_.count *= length;
    merge_stack_axes();
  }

  [[noreturn]] void stack_error() {
    std::string text = "the leading axes of the operands don't broadcast:";
    for (size_t k = 0; k < form_.signature.inputs.size(); ++k) {
      if (operands_[k] == Py_None) continue;
      text += (k ? ", " : " ") + form_.signature.inputs[k].name + " is " +
              plan::shape_text(ArrayView(operands_[k]).shape());
    }
    shape_error(form_, text);
  }

  void merge_stack_axes() {
    auto& shape = problems_.stack_shape;
    for (size_t axis = shape.size(); axis-- > 1;) {
      bool mergeable = true;
      for (size_t k = 0; k < form_.signature.inputs.size(); ++k) {
        const auto& strides = problems_.in[k].stack_strides;
        if (!strides.empty() && shape[axis - 1] != 1 && strides[axis - 1] != strides[axis] * shape[axis]) {
          mergeable = false;
        }
      }
      if (!mergeable) continue;
      shape[axis] *= shape[axis - 1];
      shape.erase(shape.begin() + ptrdiff_t(axis) - 1);
      for (auto& operand : problems_.in) {
        if (!operand.stack_strides.empty()) {
          operand.stack_strides.erase(operand.stack_strides.begin() + ptrdiff_t(axis) - 1);
        }
      }
    }
  }

  /// Makes result k, or checks the one given. `temporary` is set where a kernel can't write into the one given; a new
  /// result without axes stays unset and is scalars_[k].
  void prepare_result(size_t k, PyObject* given, py::object& result, py::object& temporary) {
    const CoreAxes& core = form_.signature.outputs[k];
    std::array<int64_t, kMaxAxes> lengths;
    const size_t ndim = stack_shape_.size() + core.labels.size();
    if (ndim > lengths.size()) shape_error(form_, "the result would have " + std::to_string(ndim) + " axes");
    auto* core_lengths = std::copy(stack_shape_.begin(), stack_shape_.end(), lengths.data());
    for (int label : core.labels) *core_lengths++ = problems_.sizes[label];
    const Shape shape(lengths.data(), ndim);
    auto& operand = problems_.out[k];
    if (given != Py_None) {
      check_out<T>(form_.name, given, shape);
      result = py::reinterpret_borrow<py::object>(given);
      ArrayView view(given);
      if (!view.c_contiguous() || !view.aligned() || overlaps_an_input(view)) {
        temporary = new_array<T>(form_.name, shape);
      }
    } else if (ndim > 0) {
      result = new_array<T>(form_.name, shape);
    }
    const py::object& written = temporary ? temporary : result;
    operand.data = written ? reinterpret_cast<T*>(ArrayView(written.ptr()).data()) : &scalars_[k];
    operand.row_stride = core.labels.empty() ? 0 : problems_.sizes[core.labels.back()];
    int64_t stride = 1;
    for (int label : core.labels) stride *= problems_.sizes[label];
    operand.stack_strides.assign(problems_.stack_shape.size(), 0);
    for (size_t axis = operand.stack_strides.size(); axis-- > 0;) {
      operand.stack_strides[axis] = stride;
      stride *= problems_.stack_shape[axis];
    }
    elements_ += stride;
  }

  bool overlaps_an_input(const ArrayView& out) const {
    for (size_t k = 0; k < form_.signature.inputs.size(); ++k) {
      if (operands_[k] != Py_None && may_overlap(out, ArrayView(operands_[k]))) return true;
    }
    return false;
  }

  void execute() {
    for (size_t k = 0; k < form_.signature.inputs.size(); ++k) {
      if (operands_[k] != Py_None) elements_ += ArrayView(operands_[k]).size();
    }
    if (elements_ < kKeepGil) {
      compute();
    } else {
      without_gil([this] { compute(); });
    }
  }

  void compute() const {
    if constexpr (sizeof(T) == 4) {
      form_.f32(problems_);
    } else {
      form_.f64(problems_);
    }
  }

  const ClosedForm& form_;
  PyObject* const* operands_;
  Problems<T> problems_;
  std::vector<int64_t> stack_shape_;
  std::array<T, kMaxOutputs> scalars_;  ///< results without axes
  int64_t elements_ = 0;
};

/// Whether kernels can read all operands in place as elements of T.
template <class T>
bool readable(const ClosedForm& form, PyObject* const* operands) {
  for (size_t k = 0; k < form.signature.inputs.size(); ++k) {
    const CoreAxes& core = form.signature.inputs[k];
    if (operands[k] == Py_None && core.optional) continue;
    if (!is_exact_array(operands[k])) return false;
    ArrayView view(operands[k]);
    if (!view.holds<T>() || !view.aligned() || !has_core_layout(view, int(core.labels.size()), sizeof(T))) return false;
  }
  return true;
}

/// The operands as readable arrays of one precision; _validate.as_arrays copies, or raises what is wrong with them.
py::tuple converted(const ClosedForm& form, PyObject* const* operands) {
  const auto& inputs = form.signature.inputs;
  py::tuple names(inputs.size()), values(inputs.size());
  for (size_t k = 0; k < inputs.size(); ++k) {
    names[k] = inputs[k].optional ? inputs[k].name + "?" : inputs[k].name;
    values[k] = py::reinterpret_borrow<py::object>(operands[k]);
  }
  return py::module_::import("matgrad._validate").attr("as_arrays")(form.name, names, values);
}

/// The result as an expression, or as several; None if all operands are arrays.
py::object of_expressions(const ClosedForm& form, PyObject* const* operands, const Extras& extras, PyObject* out) {
  py::tuple values(form.signature.inputs.size()), numbers(form.number ? 1 : 0);
  for (size_t k = 0; k < values.size(); ++k) values[k] = py::reinterpret_borrow<py::object>(operands[k]);
  if (form.number) numbers[0] = extras.number;
  const auto module = py::module_::import("matgrad.closed_form._definitions");
  return module.attr("of_expressions")(form.name, values, numbers, py::handle(out));
}

py::object dispatch(const ClosedForm& form, PyObject* const* operands, const Extras& extras, PyObject* out) {
  if (readable<double>(form, operands)) return Call<double>(form, operands).run(extras, out);
  if (readable<float>(form, operands)) return Call<float>(form, operands).run(extras, out);
  if (py::object known = of_expressions(form, operands, extras, out); !known.is_none()) return known;
  py::tuple arrays = converted(form, operands);
  PyObject* const* items = PySequence_Fast_ITEMS(arrays.ptr());
  if (readable<double>(form, items)) return Call<double>(form, items).run(extras, out);
  if (readable<float>(form, items)) return Call<float>(form, items).run(extras, out);
  throw py::type_error(std::string(form.name) + ": matgrad._validate.as_arrays returned arrays of mixed layout");
}

/// The number and the sparse pattern among the arguments that follow the operands.
Extras parse_extras(const ClosedForm& form, PyObject* const* args) {
  Extras extras;
  if (form.number != nullptr) {
    PyObject* number = *args++;
    extras.number = PyFloat_AsDouble(number);
    if (PyErr_Occurred()) {
      PyErr_Clear();
      throw py::type_error(std::string(form.name) + ": " + form.number + " is of type " + Py_TYPE(number)->tp_name +
                           " but must be a real number");
    }
  }
  if (form.sparse) {
    bool wide = !py::isinstance<py::array_t<int32_t>>(args[0]) || !py::isinstance<py::array_t<int32_t>>(args[1]);
    auto& indices = extras.indices.emplace();
    for (size_t k = 0; k < 2; ++k) {
      indices[k] = wide ? py::array(py::array_t<int64_t, py::array::c_style | py::array::forcecast>::ensure(args[k]))
                        : py::array(py::array_t<int32_t, py::array::c_style | py::array::forcecast>::ensure(args[k]));
    }
    extras.pattern = {indices[0].data(), indices[1].data(), wide};
  }
  return extras;
}

/// The vectorcall target of every closed form; `self` is a capsule with its table row.
PyObject* call(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  const auto& form = *static_cast<const ClosedForm*>(PyCapsule_GetPointer(self, nullptr));
  size_t operands = form.signature.inputs.size();
  size_t expected = operands + (form.number ? 1 : 0) + (form.sparse ? 2 : 0) + 1;
  if (size_t(nargs) != expected) {
    PyErr_Format(PyExc_TypeError, "%s takes %zu arguments but got %zd", form.name, expected, nargs);
    return nullptr;
  }
  return with_python_errors(
      form.name, [&] { return dispatch(form, args, parse_extras(form, args + operands), args[expected - 1]); });
}

}  // namespace

void bind_closed_form(py::module_& module) {
  static std::vector<std::string> names, documentation;
  static std::vector<PyMethodDef> methods;
  names.reserve(std::size(kClosedForms));
  documentation.reserve(std::size(kClosedForms));
  methods.reserve(std::size(kClosedForms));
  for (const ClosedForm& form : kClosedForms) {
    const std::string& name = names.emplace_back(std::string(form.name) + (form.sparse ? "_sparse" : ""));
    std::string parameters;
    for (const CoreAxes& core : form.signature.inputs) parameters += core.name + ", ";
    if (form.number) parameters += std::string(form.number) + ", ";
    if (form.sparse) parameters += "row_starts, columns, ";
    documentation.push_back(name + "(" + parameters + "out, /)\n--\n\nSee matgrad.closed_form." + form.name + ".");
    methods.push_back({name.c_str(), reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&call)), METH_FASTCALL,
                       documentation.back().c_str()});
    py::capsule self(&form);
    module.add_object(name.c_str(), py::reinterpret_steal<py::object>(
                                        PyCFunction_NewEx(&methods.back(), self.ptr(), module.attr("__name__").ptr())));
  }
}

}  // namespace matgrad::bindings
