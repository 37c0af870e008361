// NumPy arrays in and out: the one place that looks inside a NumPy array object.
#include "bindings/arrays.h"

#include "bindings/recycling.h"
#include "plan/available_memory.h"

namespace matgrad::bindings {

int64_t ArrayView::size() const {
  int64_t size = 1;
  for (int axis = 0; axis < ndim(); ++axis) size *= length(axis);
  return size;
}

std::pair<const char*, const char*> ArrayView::extent() const {
  const char *low = data(), *high = data();
  if (size() == 0) return {low, high};
  for (int axis = 0; axis < ndim(); ++axis) {
    int64_t span = (length(axis) - 1) * stride(axis);
    (span < 0 ? low : high) += span;
  }
  return {low, high + py::reinterpret_borrow<py::dtype>(proxy_->descr).itemsize()};
}

bool may_overlap(const ArrayView& a, const ArrayView& b) {
  const auto [a_low, a_high] = a.extent();
  const auto [b_low, b_high] = b.extent();
  return a_low < b_high && b_low < a_high;
}

bool is_exact_array(PyObject* object) {
  return Py_TYPE(object) == py::detail::npy_api::get().PyArray_Type_;
}

namespace {

/// numpy.memmap.
PyTypeObject* memmap_type() {
  static PyObject* const type = py::object(py::module_::import("numpy").attr("memmap")).release().ptr();
  return reinterpret_cast<PyTypeObject*>(type);
}

}  // namespace

bool is_plain_array(PyObject* object) {
  return is_exact_array(object) || Py_TYPE(object) == memmap_type();
}

bool is_file_mapping(PyObject* array) {
  for (PyObject* owner = array; owner != nullptr && py::isinstance<py::array>(owner); owner = ArrayView(owner).base()) {
    if (Py_TYPE(owner) != memmap_type()) continue;
    const py::object mode = py::handle(owner).attr("mode");  // None for what doesn't share memory with the file
    return !mode.is_none() && !mode.equal(py::str("c"));
  }
  return false;
}

bool has_core_layout(const ArrayView& array, int core_ndim, int64_t item_size) {
  bool suits = true;
  for (int axis = 0; axis < array.ndim(); ++axis) {
    int64_t length = array.length(axis), stride = array.stride(axis);
    if (length == 0) return true;
    if (length == 1) continue;
    bool last_core_axis = core_ndim >= 1 && axis == array.ndim() - 1;
    if (last_core_axis ? stride != item_size : stride % item_size != 0) suits = false;
  }
  return suits;
}

template <class T>
py::object new_array(const char* function, Shape shape) {
  plan::require_memory(function, "the result", shape, sizeof(T), plan::kAdviceOnMemory);
  const auto& api = py::detail::npy_api::get();
  auto array_at = [&](void* data, int flags) {
    PyObject* array = api.PyArray_NewFromDescr_(api.PyArray_Type_, api.PyArray_DescrFromType_(py::dtype::num_of<T>()),
                                                int(shape.size()), reinterpret_cast<const Py_intptr_t*>(shape.data()),
                                                nullptr, data, flags, nullptr);
    if (array == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(array);
  };
  size_t bytes = sizeof(T);
  for (int64_t length : shape) bytes *= size_t(length);
  if (bytes < kLeastRecycled) return array_at(nullptr, 0);
  RecycledMemory memory = recycled_memory(bytes);
  const py::object array =
      array_at(memory.begin, py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_ |
                                 py::detail::npy_api::NPY_ARRAY_WRITEABLE_);
  if (api.PyArray_SetBaseObject_(array.ptr(), memory.owner.release().ptr()) != 0) throw py::error_already_set();
  return array;
}

template py::object new_array<float>(const char*, Shape);
template py::object new_array<double>(const char*, Shape);

template <class T>
py::object new_scalar(T value) {
  const auto& api = py::detail::npy_api::get();
  PyObject* descr = api.PyArray_DescrFromType_(py::dtype::num_of<T>());
  PyObject* scalar = api.PyArray_Scalar_(&value, descr, nullptr);
  Py_DECREF(descr);
  if (scalar == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(scalar);
}

template py::object new_scalar<float>(float);
template py::object new_scalar<double>(double);

}  // namespace matgrad::bindings
