// Elementwise functions as Python functions of arrays, internal: matgrad._core.map("exp", x).
#include <string>

#include "bindings/arrays.h"
#include "bindings/bind.h"
#include "kernels/dispatch.h"
#include "plan/threads.h"

namespace matgrad::bindings {
namespace {

/// Elements that one thread takes at a time: about 20 µs of work.
constexpr int64_t kChunk = 1 << 14;

template <class T>
const kernels::MapFunction<T>& find(const std::string& name) {
  const auto& table = kernels::table<T>().map;
  std::string names;
  for (int64_t k = 0; k < table.count; ++k) {
    if (name == table.functions[k].name) return table.functions[k];
    names += (k > 0 ? ", " : "") + std::string(table.functions[k].name);
  }
  throw py::value_error("map: name is '" + name + "' but must be one of: " + names);
}

template <class T>
py::object apply(const std::string& name, const ArrayView& x) {
  const auto& function = find<T>(name);
  py::object result = new_array<T>("map", x.shape());
  const T* from = reinterpret_cast<const T*>(x.data());
  T* to = reinterpret_cast<T*>(ArrayView(result.ptr()).data());
  py::gil_scoped_release released;
  threads::parallel_ranges(x.size(), kChunk,
                           [&](int64_t begin, int64_t end) { function.apply(end - begin, from + begin, to + begin); });
  return result;
}

py::object map(const std::string& name, py::handle x) {
  if (!is_exact_array(x.ptr())) {
    throw py::type_error(std::string("map: x is of type ") + Py_TYPE(x.ptr())->tp_name +
                         " but must be a numpy.ndarray");
  }
  ArrayView view(x.ptr());
  if (!view.c_contiguous() || !view.aligned()) throw py::value_error("map: x must be C-contiguous and aligned");
  if (view.holds<double>()) return apply<double>(name, view);
  if (view.holds<float>()) return apply<float>(name, view);
  throw py::type_error("map: x has dtype " + std::string(py::str(x.attr("dtype").attr("str"))) +
                       " but must be float32 or float64 in native byte order");
}

}  // namespace

void bind_map(py::module_& module) {
  module.def("map", &map, py::arg("name"), py::arg("x"));
  module.def("map_names", [] {
    const auto& table = kernels::table<double>().map;
    py::list names;
    for (int64_t k = 0; k < table.count; ++k) names.append(table.functions[k].name);
    return names;
  });
}

}  // namespace matgrad::bindings
