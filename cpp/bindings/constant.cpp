// Constant arrays of expressions, from and to NumPy.
#include "bindings/constant.h"

namespace matgrad::bindings {
namespace {

template <class T>
expr::Expr copy(const ArrayView& array) {
  const T* values = reinterpret_cast<const T*>(array.data());
  std::vector<int64_t> lengths(array.shape().begin(), array.shape().end());
  return expr::array({std::move(lengths), std::vector<T>(values, values + array.size())});
}

}  // namespace

expr::Expr constant(const py::array& object) {
  ArrayView view(object.ptr());
  if (!view.c_contiguous() || !view.aligned()) throw py::value_error("array: must be C-contiguous and aligned");
  if (view.holds<double>()) return copy<double>(view);
  if (view.holds<float>()) return copy<float>(view);
  throw py::type_error("array: must be float32 or float64 in native byte order");
}

py::array to_array(const expr::Array& constant) {
  return std::visit([&](const auto& values) -> py::array { return py::array(constant.shape, values.data()); },
                    constant.values);
}

}  // namespace matgrad::bindings
