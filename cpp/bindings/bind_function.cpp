// Compiled expressions as Python callables: matgrad._core.Function(results, symbols, names, single, checked=()).
#include <pybind11/stl.h>
#include <structmember.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "bindings/arrays.h"
#include "bindings/bind.h"
#include "bindings/lapack.h"
#include "bindings/results.h"
#include "bindings/without_gil.h"
#include "expr/build.h"
#include "plan/program.h"

namespace matgrad::bindings {
namespace {

constexpr const char* kName = "Function";
constexpr const char* kAdvice = "; .structured(...) keeps a derivative without expanding it";

/// Arguments and results whose addresses need no memory of their own.
constexpr size_t kFew = 8;

/// A number of values that is known at run time, usually few.
template <class T>
class Few {
 public:
  explicit Few(size_t count) : size_(count) {
    if (count > kFew) many_.resize(count);
  }
  T* data() { return size_ > kFew ? many_.data() : few_.data(); }
  T& operator[](size_t k) { return data()[k]; }
  size_t size() const { return size_; }

 private:
  size_t size_;
  std::array<T, kFew> few_{};
  std::vector<T> many_{};
};

struct Compiled {
  plan::Program program;
  std::vector<std::string> names;  ///< of the arguments
  bool single;                     ///< whether there is one result, not a tuple of them
  py::tuple definition;            ///< the arguments of the constructor
};

struct FunctionObject {
  PyObject_HEAD vectorcallfunc call;
  Compiled* compiled;
};

/// The shape of an argument: an array, or a Python float.
Shape shape_of(PyObject* argument) {
  return PyFloat_CheckExact(argument) ? Shape() : ArrayView(argument).shape();
}

/// The plan for the shapes of the arguments.
std::shared_ptr<const plan::Plan> find_plan(const plan::Program& program, PyObject* const* arguments) {
  const size_t count = program.symbols().size();
  const auto last = program.last_plan();
  bool is_same = last != nullptr;
  for (size_t k = 0; k < count && is_same; ++k) {
    is_same = std::ranges::equal(shape_of(arguments[k]), last->argument_shapes[k]);
  }
  if (is_same) return last;
  std::vector<plan::Shape> shapes;
  for (size_t k = 0; k < count; ++k) {
    const Shape shape = shape_of(arguments[k]);
    shapes.emplace_back(shape.begin(), shape.end());
  }
  try {
    return program.plan(shapes);
  } catch (const expr::ShapeError& error) {
    throw py::value_error(std::string(kName) + ": " + error.what());
  } catch (const plan::TooLarge& error) {
    require_memory(kName, "an array", error.shape, 1, kAdvice);
    throw;
  }
}

/// One call, whose arguments are arrays of T in C order, or Python floats.
template <class T>
class Call {
 public:
  Call(const Compiled& compiled, PyObject* const* arguments)
      : compiled_(compiled),
        arguments_(arguments),
        plan_(find_plan(compiled.program, arguments)),
        count_(compiled.program.results().size()),
        numbers_(compiled.names.size()),
        inputs_(compiled.names.size()),
        outputs_(count_),
        scalars_(count_),
        results_(count_),
        temporaries_(count_) {}

  py::object run(PyObject* out) {
    require_memory(kName, "an intermediate result", plan_->largest, sizeof(T), kAdvice);
    const int64_t arena[] = {plan_->arena};
    require_memory(kName, "all intermediate results together, an array", arena, sizeof(T), kAdvice);
    for (size_t k = 0; k < inputs_.size(); ++k) {
      if (PyFloat_CheckExact(arguments_[k])) {
        numbers_[k] = T(PyFloat_AS_DOUBLE(arguments_[k]));
        inputs_[k] = &numbers_[k];
      } else {
        inputs_[k] = reinterpret_cast<const T*>(ArrayView(arguments_[k]).data());
      }
    }
    const bool is_given = out != Py_None;
    if (!compiled_.single) check_out_tuple(kName, out, count_);
    for (size_t k = 0; k < count_; ++k) {
      prepare_result(k, compiled_.single || !is_given ? out : PyTuple_GET_ITEM(out, k));
    }
    if (!compiled_.single && is_given) check_distinct(kName, out);
    if (plan_->work < kKeepGil) {
      compute();
    } else {
      without_gil([this] { compute(); });
    }
    for (size_t k = 0; k < count_; ++k) {
      if (temporaries_[k]) results_[k][py::ellipsis()] = temporaries_[k];
      if (!results_[k]) results_[k] = new_scalar(scalars_[k]);
    }
    if (compiled_.single) return results_[0];
    py::tuple tuple(count_);
    for (size_t k = 0; k < count_; ++k) tuple[k] = results_[k];
    return tuple;
  }

 private:
  /// Makes result k, or checks the one given; a new one without axes stays unset and is scalars_[k].
  void prepare_result(size_t k, PyObject* given) {
    const plan::Shape& shape = plan_->result_shapes[k];
    if (given != Py_None) {
      check_out<T>(kName, given, shape);
      results_[k] = py::reinterpret_borrow<py::object>(given);
      const ArrayView view(given);
      if (plan_->can_fail || !view.c_contiguous() || !view.aligned() || overlaps_an_input(view)) {
        temporaries_[k] = new_array<T>(kName, shape);
      }
    } else if (!shape.empty()) {
      results_[k] = new_array<T>(kName, shape);
    }
    const py::object& written = temporaries_[k] ? temporaries_[k] : results_[k];
    outputs_[k] = written ? reinterpret_cast<T*>(ArrayView(written.ptr()).data()) : &scalars_[k];
  }

  bool overlaps_an_input(const ArrayView& out) const {
    for (size_t k = 0; k < compiled_.names.size(); ++k) {
      if (!PyFloat_CheckExact(arguments_[k]) && may_overlap(out, ArrayView(arguments_[k]))) return true;
    }
    return false;
  }

  void compute() { compiled_.program.run<T>(*plan_, inputs_.data(), outputs_.data()); }

  const Compiled& compiled_;
  PyObject* const* arguments_;
  const std::shared_ptr<const plan::Plan> plan_;
  const size_t count_;
  Few<T> numbers_;  ///< Python floats among the arguments
  Few<const T*> inputs_;
  Few<T*> outputs_;
  Few<T> scalars_;  ///< results without axes
  Few<py::object> results_, temporaries_;
};

/// Whether all arguments can be read in place as elements of T, and T is the precision of the result.
template <class T>
bool readable(const Compiled& compiled, PyObject* const* arguments) {
  bool any = false;
  for (size_t k = 0; k < compiled.names.size(); ++k) {
    if (PyFloat_CheckExact(arguments[k])) continue;
    if (!is_exact_array(arguments[k])) return false;
    const ArrayView view(arguments[k]);
    if (!view.holds<T>() || !view.aligned() || !view.c_contiguous()) return false;
    any = true;
  }
  const auto& program = compiled.program;
  if (sizeof(T) == 4) return (any || program.contains_array<float>()) && !program.contains_array<double>();
  return any || program.contains_array<double>() || !program.contains_array<float>();
}

/// The arguments as C-ordered arrays of one precision; _validate.as_arrays copies, or raises what is wrong with them.
py::list converted(const Compiled& compiled, PyObject* const* arguments) {
  py::tuple names(compiled.names.size()), values(compiled.names.size());
  for (size_t k = 0; k < compiled.names.size(); ++k) {
    names[k] = compiled.names[k];
    values[k] = py::reinterpret_borrow<py::object>(arguments[k]);
  }
  const py::module_ numpy = py::module_::import("numpy");
  py::list arrays(py::module_::import("matgrad._validate").attr("as_arrays")(kName, names, values));
  for (size_t k = 0; k < compiled.names.size(); ++k) {
    if (compiled.program.contains_array<double>())
      arrays[k] = arrays[k].attr("astype")("float64", py::arg("copy") = false);
    arrays[k] = numpy.attr("require")(arrays[k], py::none(), "CA");
  }
  return arrays;
}

py::object dispatch(const Compiled& compiled, PyObject* const* arguments, PyObject* out) {
  if (readable<double>(compiled, arguments)) return Call<double>(compiled, arguments).run(out);
  if (readable<float>(compiled, arguments)) return Call<float>(compiled, arguments).run(out);
  const py::list arrays = converted(compiled, arguments);
  PyObject* const* items = PySequence_Fast_ITEMS(arrays.ptr());
  if (readable<double>(compiled, items)) return Call<double>(compiled, items).run(out);
  return Call<float>(compiled, items).run(out);
}

/// The argument `out`, the only one that has a keyword.
PyObject* parse_out(PyObject* const* keyword_arguments, PyObject* keywords) {
  PyObject* out = Py_None;
  for (Py_ssize_t k = 0; keywords != nullptr && k < PyTuple_GET_SIZE(keywords); ++k) {
    const std::string keyword = py::cast<std::string>(PyTuple_GET_ITEM(keywords, k));
    if (keyword != "out") {
      throw py::type_error(std::string(kName) + ": unexpected keyword argument '" + keyword +
                           "'; arrays are given by position");
    }
    out = keyword_arguments[k];
  }
  return out;
}

void check_count(const Compiled& compiled, size_t count) {
  if (count == compiled.names.size()) return;
  std::string text = std::string(kName) + ": ";
  if (count < compiled.names.size()) throw py::type_error(text + "argument " + compiled.names[count] + " is missing");
  std::string names;
  for (const std::string& name : compiled.names) names += (names.empty() ? "" : ", ") + name;
  throw py::type_error(text + "takes " + std::to_string(compiled.names.size()) + " arrays (" + names + ") but got " +
                       std::to_string(count));
}

PyObject* call(PyObject* self, PyObject* const* args, size_t nargs_and_flag, PyObject* keywords) {
  const Compiled& compiled = *reinterpret_cast<FunctionObject*>(self)->compiled;
  const size_t count = size_t(PyVectorcall_NARGS(nargs_and_flag));
  return with_python_errors(kName, [&] {
    PyObject* out = parse_out(args + count, keywords);
    check_count(compiled, count);
    try {
      return dispatch(compiled, args, out);
    } catch (const plan::SingularMatrix& error) {
      const py::object type = py::module_::import("numpy").attr("linalg").attr("LinAlgError");
      PyErr_SetString(type.ptr(), error.what());
      throw py::error_already_set();
    }
  });
}

PyObject* construct(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  PyObject *results, *symbols, *names, *checked = nullptr;
  int single;
  static const char* known[] = {"results", "symbols", "names", "single", "checked", nullptr};
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "OOOp|O", const_cast<char**>(known), &results, &symbols, &names,
                                   &single, &checked)) {
    return nullptr;
  }
  return with_python_errors(kName, [&] {
    auto expressions = [](PyObject* list) { return py::cast<std::vector<expr::Expr>>(list); };
    const py::object also = checked == nullptr ? py::list() : py::reinterpret_borrow<py::object>(checked);
    std::unique_ptr<Compiled> compiled(new Compiled{
        {expressions(results), expressions(symbols), expressions(also.ptr())},
        py::cast<std::vector<std::string>>(names),
        single != 0,
        py::make_tuple(py::handle(results), py::handle(symbols), py::handle(names), py::bool_(single != 0), also)});
    if (compiled->names.size() != compiled->program.symbols().size()) {
      throw py::value_error(std::string(kName) + ": there must be as many names as symbols");
    }
    if (compiled->single && compiled->program.results().size() != 1) {
      throw py::value_error(std::string(kName) + ": a single result is wanted but there are several");
    }
    if (compiled->program.needs_lapack()) load_lapack();
    py::object self = py::reinterpret_steal<py::object>(type->tp_alloc(type, 0));
    if (!self) throw py::error_already_set();
    auto* function = reinterpret_cast<FunctionObject*>(self.ptr());
    function->call = call;
    function->compiled = compiled.release();
    return self;
  });
}

void destroy(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  delete reinterpret_cast<FunctionObject*>(self)->compiled;
  type->tp_free(self);
  Py_DECREF(type);
}

/// Pickling: the type and the arguments of its constructor.
PyObject* reduce(PyObject* self, PyObject*) {
  const Compiled& compiled = *reinterpret_cast<FunctionObject*>(self)->compiled;
  return Py_BuildValue("(OO)", reinterpret_cast<PyObject*>(Py_TYPE(self)), compiled.definition.ptr());
}

PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(FunctionObject, call), READONLY, nullptr},
    {},
};

PyMethodDef methods[] = {
    {"__reduce__", reduce, METH_NOARGS, nullptr},
    {},
};

constexpr const char* kDocumentation =
    "Function(results, symbols, names, single, checked=())\n--\n\n"
    "The values of expressions as a function of arrays, one for each symbol; see matgrad.Expr.compile.";

PyType_Slot slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(construct)},
    {Py_tp_dealloc, reinterpret_cast<void*>(destroy)},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_members, members},
    {Py_tp_methods, methods},
    {Py_tp_doc, const_cast<char*>(kDocumentation)},
    {},
};

PyType_Spec spec = {"matgrad._core.Function", sizeof(FunctionObject), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_VECTORCALL, slots};

}  // namespace

void bind_function(py::module_& module) {
  module.add_object(kName, py::reinterpret_steal<py::object>(PyType_FromSpec(&spec)));
}

}  // namespace matgrad::bindings
