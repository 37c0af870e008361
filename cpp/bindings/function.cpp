// Compiled expressions as functions of arrays: what they are made of, and the call.
#include "bindings/function.h"

#include <algorithm>
#include <list>
#include <vector>

#include "bindings/results.h"
#include "bindings/without_gil.h"
#include "expr/batch.h"
#include "expr/build.h"
#include "plan/call.h"

namespace matgrad::bindings {
namespace {

/// The shape and strides of an argument: an array of items of that size, or a Python float.
plan::Argument described(PyObject* argument, int64_t item_size) {
  if (PyFloat_CheckExact(argument)) return {};
  const ArrayView view(argument);
  plan::Argument result{{view.shape().begin(), view.shape().end()}, {}, view.c_contiguous()};
  if (result.is_contiguous) {
    result.strides = plan::contiguous_strides(result.shape);
  } else {
    for (int axis = 0; axis < view.ndim(); ++axis) {
      result.strides.push_back(view.length(axis) == 1 ? 0 : view.stride(axis) / item_size);
    }
  }
  return result;
}

/// Whether an argument is as described.
bool is_same(PyObject* argument, const plan::Argument& known, int64_t item_size) {
  if (PyFloat_CheckExact(argument)) return known.shape.empty();
  const ArrayView view(argument);
  if (view.c_contiguous() != known.is_contiguous || !std::ranges::equal(view.shape(), known.shape)) return false;
  for (int axis = 0; !known.is_contiguous && axis < view.ndim(); ++axis) {
    if (view.length(axis) != 1 && view.stride(axis) != known.strides[size_t(axis)] * item_size) return false;
  }
  return true;
}

/// The plan for the arguments.
std::shared_ptr<const plan::Plan> find_plan(const Compiled& compiled, PyObject* const* arguments, int64_t item_size) {
  return plan::find_plan(
      compiled.called, compiled.program,
      [=](size_t k, const plan::Argument& known) { return is_same(arguments[k], known, item_size); },
      [=](size_t k) { return described(arguments[k], item_size); });
}

/// Whether an argument is an index whose integers a call converts itself.
bool holds_places(const Compiled& compiled, size_t k, PyObject* argument) {
  if (!compiled.program.is_index(k) || PyFloat_CheckExact(argument) || !is_exact_array(argument)) return false;
  const ArrayView view(argument);
  return view.holds<int64_t>() && view.aligned() && view.c_contiguous();
}

/// One call, whose arguments are readable arrays of T, Python floats, or integers that are indices.
template <class T>
class Call {
 public:
  Call(const Compiled& compiled, PyObject* const* arguments)
      : compiled_(compiled),
        arguments_(arguments),
        plan_(find_plan(compiled, arguments, sizeof(T))),
        count_(compiled.program.results().size()),
        numbers_(compiled.names.size()),
        inputs_(compiled.names.size()),
        is_mapped_(compiled.names.size()),
        outputs_(count_),
        scalars_(count_),
        results_(count_),
        temporaries_(count_) {}

  py::object run(PyObject* out) {
    plan::require_memory_for(compiled_.called, *plan_, sizeof(T));
    for (size_t k = 0; k < inputs_.size(); ++k) {
      if (PyFloat_CheckExact(arguments_[k])) {
        numbers_[k] = T(PyFloat_AS_DOUBLE(arguments_[k]));
        inputs_[k] = &numbers_[k];
      } else {
        const ArrayView view(arguments_[k]);
        inputs_[k] = holds_places(compiled_, k, arguments_[k]) ? converted_places(view)
                                                               : reinterpret_cast<const T*>(view.data());
        is_mapped_[k] = view.base() != nullptr && plan_->work >= kKeepGil && is_file_mapping(arguments_[k]);
      }
    }
    const bool is_given = out != Py_None;
    if (!compiled_.single) check_out_tuple(compiled_.called, out, count_);
    for (size_t k = 0; k < count_; ++k) {
      prepare_result(k, compiled_.single || !is_given ? out : PyTuple_GET_ITEM(out, k));
    }
    if (!compiled_.single && is_given) check_distinct(compiled_.called, out);
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
      check_out<T>(compiled_.called, given, shape);
      results_[k] = py::reinterpret_borrow<py::object>(given);
      const ArrayView view(given);
      if (plan_->can_fail || !view.c_contiguous() || !view.aligned() || overlaps_an_input(view)) {
        temporaries_[k] = new_array<T>(compiled_.called, shape);
      }
    } else if (!shape.empty()) {
      results_[k] = new_array<T>(compiled_.called, shape);
    }
    const py::object& written = temporaries_[k] ? temporaries_[k] : results_[k];
    outputs_[k] = written ? reinterpret_cast<T*>(ArrayView(written.ptr()).data()) : &scalars_[k];
  }

  /// The integers of an array as numbers.
  const T* converted_places(const ArrayView& view) {
    const auto* from = reinterpret_cast<const int64_t*>(view.data());
    return places_.emplace_back(from, from + view.size()).data();
  }

  bool overlaps_an_input(const ArrayView& out) const {
    for (size_t k = 0; k < compiled_.names.size(); ++k) {
      if (!PyFloat_CheckExact(arguments_[k]) && may_overlap(out, ArrayView(arguments_[k]))) return true;
    }
    return false;
  }

  void compute() { compiled_.program.run<T>(*plan_, inputs_.data(), outputs_.data(), is_mapped_.data()); }

  const Compiled& compiled_;
  PyObject* const* arguments_;
  const std::shared_ptr<const plan::Plan> plan_;
  const size_t count_;
  plan::Few<T> numbers_;  ///< Python floats among the arguments
  plan::Few<const T*> inputs_;
  plan::Few<bool> is_mapped_;  ///< whether it is the mapping of a file
  plan::Few<T*> outputs_;
  plan::Few<T> scalars_;  ///< results without axes
  plan::Few<py::object> results_, temporaries_;
  std::list<std::vector<T>> places_{};  ///< indices
};

/// Whether elements of an array are at their addresses as elements of T.
template <class T>
bool is_strided(const ArrayView& view) {
  if (!view.holds<T>() || !view.aligned()) return false;
  if (view.c_contiguous()) return true;
  for (int axis = 0; axis < view.ndim(); ++axis) {
    if (view.length(axis) > 1 && view.stride(axis) % int64_t(sizeof(T)) != 0) return false;
  }
  return true;
}

/// Whether all arguments can be read in place as elements of T, and T is the precision of the result.
template <class T>
bool readable(const Compiled& compiled, PyObject* const* arguments) {
  bool any = false;
  for (size_t k = 0; k < compiled.names.size(); ++k) {
    if (PyFloat_CheckExact(arguments[k]) || holds_places(compiled, k, arguments[k])) continue;
    if (!is_plain_array(arguments[k])) return false;
    if (!is_strided<T>(ArrayView(arguments[k]))) return false;
    any = true;
  }
  const auto& program = compiled.program;
  if (sizeof(T) == 4) return (any || program.contains_array<float>()) && !program.contains_array<double>();
  return any || program.contains_array<double>() || !program.contains_array<float>();
}

/// The arguments as readable arrays of one precision; _validate.as_arrays copies, or raises what is wrong with them.
py::list converted(const Compiled& compiled, PyObject* const* arguments) {
  py::tuple names(compiled.names.size()), values(compiled.names.size());
  for (size_t k = 0; k < compiled.names.size(); ++k) {
    names[k] = compiled.names[k] + (compiled.program.is_index(k) ? "[]" : "");
    values[k] = py::reinterpret_borrow<py::object>(arguments[k]);
  }
  py::list arrays(py::module_::import("matgrad._validate").attr("as_arrays")(compiled.called, names, values, true));
  for (size_t k = 0; k < compiled.names.size(); ++k) {
    if (!compiled.program.contains_array<double>()) break;
    arrays[k] = arrays[k].attr("astype")("float64", py::arg("copy") = false);
  }
  return arrays;
}

}  // namespace

py::object call_function(const Compiled& compiled, PyObject* const* arguments, PyObject* out) {
  if (readable<double>(compiled, arguments)) return Call<double>(compiled, arguments).run(out);
  if (readable<float>(compiled, arguments)) return Call<float>(compiled, arguments).run(out);
  const py::list arrays = converted(compiled, arguments);
  PyObject* const* items = PySequence_Fast_ITEMS(arrays.ptr());
  if (readable<double>(compiled, items)) return Call<double>(compiled, items).run(out);
  return Call<float>(compiled, items).run(out);
}

namespace {

/// The function for stacks, made when it is first asked for.
const Compiled& of_stacks(Compiled& compiled, const std::vector<bool>& are_stacks) {
  const std::lock_guard lock(compiled.mutex);
  auto& known = compiled.of_stacks[are_stacks];
  if (!known) {
    const plan::Program& one = compiled.program;
    auto stacked = expr::batched({one.results(), one.symbols(), one.checked()}, are_stacks);
    known.reset(new Compiled{
        "map",
        {std::move(stacked.results), std::move(stacked.symbols), stacked.checked},
        compiled.names,
        compiled.single,
    });
  }
  return *known;
}

}  // namespace

bool are_one_stack(const Compiled& compiled, PyObject* const* arguments) {
  int64_t length = -1;
  for (size_t k = 0; k < compiled.names.size(); ++k) {
    const int ndim = compiled.program.symbols()[k]->ndim();
    if (PyFloat_CheckExact(arguments[k]) && ndim == 0) continue;
    if (!is_plain_array(arguments[k])) return false;
    const ArrayView view(arguments[k]);
    if (view.ndim() == ndim) continue;
    if (view.ndim() != ndim + 1 || (length >= 0 && view.length(0) != length)) return false;
    length = view.length(0);
  }
  return true;
}

py::object map_function(Compiled& compiled, PyObject* const* arguments, PyObject* out) {
  std::vector<bool> are_stacks;
  for (size_t k = 0; k < compiled.names.size(); ++k) {
    const int ndim = compiled.program.symbols()[k]->ndim();
    are_stacks.push_back(!PyFloat_CheckExact(arguments[k]) && ArrayView(arguments[k]).ndim() > ndim);
  }
  const bool any = std::ranges::find(are_stacks, true) != are_stacks.end();
  return call_function(any ? of_stacks(compiled, are_stacks) : compiled, arguments, out);
}

}  // namespace matgrad::bindings
