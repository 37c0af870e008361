// NumPy arrays in and out: the one place that looks inside a NumPy array object.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <span>
#include <utility>

namespace matgrad::bindings {

namespace py = pybind11;

/// Lengths of axes, borrowed.
using Shape = std::span<const int64_t>;
static_assert(sizeof(Py_intptr_t) == sizeof(int64_t), "NumPy counts elements in 64 bits");

/// The most axes that an array has.
constexpr int kMaxAxes = 64;

/// A NumPy array as pointer, lengths and strides; borrows the array.
class ArrayView {
 public:
  /// `array` must be an instance of numpy.ndarray.
  explicit ArrayView(PyObject* array) : proxy_(py::detail::array_proxy(array)) {}

  char* data() const { return proxy_->data; }
  int ndim() const { return proxy_->nd; }
  int64_t length(int axis) const { return proxy_->dimensions[axis < 0 ? axis + ndim() : axis]; }
  /// Distance in bytes between neighbours along an axis.
  int64_t stride(int axis) const { return proxy_->strides[axis < 0 ? axis + ndim() : axis]; }
  Shape shape() const { return {reinterpret_cast<const int64_t*>(proxy_->dimensions), size_t(ndim())}; }
  int64_t size() const;
  bool aligned() const { return has(py::detail::npy_api::NPY_ARRAY_ALIGNED_); }
  bool writeable() const { return has(py::detail::npy_api::NPY_ARRAY_WRITEABLE_); }
  bool c_contiguous() const { return has(py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_); }
  /// Whether elements are T in native byte order.
  template <class T>
  bool holds() const {
    const auto* descr = py::detail::array_descriptor_proxy(proxy_->descr);
    return descr->type_num == py::dtype::num_of<T>() && descr->byteorder != '>';
  }
  /// First and one-past-last byte that the elements touch; equal for an array without elements.
  std::pair<const char*, const char*> extent() const;
  /// What owns the memory; null if the array itself does.
  PyObject* base() const { return proxy_->base; }

 private:
  bool has(int flag) const { return (proxy_->flags & flag) != 0; }
  const py::detail::PyArray_Proxy* proxy_;
};

/// Whether the memory that two arrays span has bytes in common.
bool may_overlap(const ArrayView& a, const ArrayView& b);

/// Whether `object` is a numpy.ndarray and no subclass of it.
bool is_exact_array(PyObject* object);

/// Whether `object` is a numpy.ndarray whose elements are in memory: not of a subclass, but for numpy.memmap.
bool is_plain_array(PyObject* object);

/// Whether an array is, or is a view of, a numpy.memmap that shares its pages with a file.
bool is_file_mapping(PyObject* array);

/// Whether the last `core_ndim` axes of an array have a layout that kernels read in place: unit stride along the last
/// axis and a whole number of elements between rows; strides along axes of length 1, or without elements, don't matter.
/// Fewer axes than core_ndim is a matter for shape validation.
bool has_core_layout(const ArrayView& array, int core_ndim, int64_t item_size);

/// A new C-ordered array of T. Raises MemoryError before allocating if it cannot fit in memory; `function` is named.
template <class T>
py::object new_array(const char* function, Shape shape);

/// A NumPy scalar.
template <class T>
py::object new_scalar(T value);

}  // namespace matgrad::bindings
