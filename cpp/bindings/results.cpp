// Results of functions: the arrays that `out` gives for them, and the errors instead of them.
#include "bindings/results.h"

#include <algorithm>

namespace matgrad::bindings {

template <class T>
void check_out(const char* function, PyObject* given, Shape shape) {
  auto out = [&] { return std::string(function) + ": out "; };
  const char* must = sizeof(T) == 4 ? " but must be a numpy.ndarray of dtype float32"
                                    : " but must be a numpy.ndarray of dtype float64";
  if (!is_exact_array(given)) throw py::type_error(out() + "is of type " + Py_TYPE(given)->tp_name + must);
  ArrayView view(given);
  if (!view.holds<T>()) {
    throw py::type_error(out() + "has dtype " + std::string(py::str(py::handle(given).attr("dtype").attr("str"))) +
                         must + " in native byte order");
  }
  if (!std::ranges::equal(view.shape(), shape)) {
    throw py::value_error(out() + "has shape " + plan::shape_text(view.shape()) + " but must be " +
                          plan::shape_text(shape));
  }
  if (!view.writeable()) throw py::value_error(out() + "is read-only");
}

template void check_out<float>(const char*, PyObject*, Shape);
template void check_out<double>(const char*, PyObject*, Shape);

void check_out_tuple(const char* function, PyObject* out, size_t count) {
  if (out != Py_None && (!PyTuple_Check(out) || size_t(PyTuple_GET_SIZE(out)) != count)) {
    throw py::type_error(std::string(function) + ": out must be a tuple of " + std::to_string(count) + " arrays");
  }
}

void check_distinct(const char* function, PyObject* out) {
  for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(out); ++k) {
    for (Py_ssize_t other = 0; other < k; ++other) {
      py::handle a = PyTuple_GET_ITEM(out, k), b = PyTuple_GET_ITEM(out, other);
      if (a.is_none() || b.is_none() || !may_overlap(ArrayView(a.ptr()), ArrayView(b.ptr()))) continue;
      if (py::module_::import("numpy").attr("shares_memory")(a, b).cast<bool>()) {
        throw py::value_error(std::string(function) + ": out has arrays that overlap each other");
      }
    }
  }
}

}  // namespace matgrad::bindings
