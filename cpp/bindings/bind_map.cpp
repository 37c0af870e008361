// Elementwise functions as Python functions of arrays, internal: matgrad._core.map("exp", x).
#include <initializer_list>
#include <string>

#include "bindings/arrays.h"
#include "bindings/bind.h"
#include "kernels/dispatch.h"
#include "plan/available_memory.h"
#include "plan/threads.h"

namespace matgrad::bindings {
namespace {

/// Elements that one thread takes at a time: about 20 µs of work.
constexpr int64_t kChunk = 1 << 14;

template <class Function>
const Function& find(const std::string& function, const std::string& name, const Function* rows, int64_t count) {
  std::string names;
  for (int64_t k = 0; k < count; ++k) {
    if (name == rows[k].name) return rows[k];
    names += (k > 0 ? ", " : "") + std::string(rows[k].name);
  }
  throw py::value_error(function + ": name is '" + name + "' but must be one of: " + names);
}

template <class Function>
py::list names_of(const Function* rows, int64_t count) {
  py::list names;
  for (int64_t k = 0; k < count; ++k) names.append(rows[k].name);
  return names;
}

/// An operand that kernels read in place.
ArrayView operand(const std::string& function, const std::string& name, py::handle x) {
  if (!is_exact_array(x.ptr())) {
    throw py::type_error(function + ": " + name + " is of type " + Py_TYPE(x.ptr())->tp_name +
                         " but must be a numpy.ndarray");
  }
  ArrayView view(x.ptr());
  if (!view.c_contiguous() || !view.aligned()) {
    throw py::value_error(function + ": " + name + " must be C-contiguous and aligned");
  }
  if (!view.holds<double>() && !view.holds<float>()) {
    throw py::type_error(function + ": " + name + " has dtype " + std::string(py::str(x.attr("dtype").attr("str"))) +
                         " but must be float32 or float64 in native byte order");
  }
  return view;
}

/// An operand without axes is repeated for every element of the result.
template <class T>
struct Elements {
  explicit Elements(const ArrayView& view)
      : data(reinterpret_cast<const T*>(view.data())), step(view.ndim() == 0 ? 0 : 1) {}
  const T* operator+(int64_t i) const { return data + i * step; }
  const T* data;
  int64_t step;
};

/// The operand that has the shape of the result.
const ArrayView& broadcast(const std::string& function, std::initializer_list<const ArrayView*> operands) {
  const ArrayView* largest = *operands.begin();
  for (const ArrayView* x : operands) largest = x->ndim() > 0 ? x : largest;
  for (const ArrayView* x : operands) {
    if (x->holds<double>() != largest->holds<double>()) throw py::type_error(function + ": operands differ in dtype");
    if (x->ndim() > 0 && plan::shape_text(x->shape()) != plan::shape_text(largest->shape())) {
      throw py::value_error(function + ": an operand of shape " + plan::shape_text(x->shape()) +
                            " does not fit one of shape " + plan::shape_text(largest->shape()));
    }
  }
  return *largest;
}

/// A new array of that shape whose elements [i, i + n) are computed by compute(i, n, out).
template <class T, class Compute>
py::object computed(const char* function, const ArrayView& shape, const Compute& compute) {
  py::object result = new_array<T>(function, shape.shape());
  T* out = reinterpret_cast<T*>(ArrayView(result.ptr()).data());
  py::gil_scoped_release released;
  threads::parallel_ranges(shape.size(), kChunk,
                           [&](int64_t begin, int64_t end) { compute(begin, end - begin, out + begin); });
  return result;
}

template <class T>
py::object map_of(const std::string& name, const ArrayView& view) {
  const auto& table = kernels::table<T>().map;
  const auto& row = find("map", name, table.functions, table.count);
  Elements<T> x(view);
  return computed<T>("map", view, [&](int64_t i, int64_t n, T* out) { row.apply(n, x.data + i, out); });
}

py::object map(const std::string& name, py::handle x) {
  const ArrayView view = operand("map", "x", x);
  return view.holds<double>() ? map_of<double>(name, view) : map_of<float>(name, view);
}

template <class T>
py::object map2_of(const std::string& name, const ArrayView& x_view, const ArrayView& y_view) {
  const auto& table = kernels::table<T>().map;
  const auto& row = find("map2", name, table.binary, table.binary_count);
  Elements<T> x(x_view), y(y_view);
  return computed<T>("map2", broadcast("map2", {&x_view, &y_view}),
                     [&](int64_t i, int64_t n, T* out) { row.apply(n, x + i, x.step, y + i, y.step, out); });
}

py::object map2(const std::string& name, py::handle x, py::handle y) {
  const ArrayView x_view = operand("map2", "x", x), y_view = operand("map2", "y", y);
  return x_view.holds<double>() ? map2_of<double>(name, x_view, y_view) : map2_of<float>(name, x_view, y_view);
}

template <class T>
py::object where_of(const ArrayView& c_view, const ArrayView& x_view, const ArrayView& y_view) {
  Elements<T> c(c_view), x(x_view), y(y_view);
  return computed<T>("where", broadcast("where", {&c_view, &x_view, &y_view}), [&](int64_t i, int64_t n, T* out) {
    kernels::table<T>().map.where(n, c + i, c.step, x + i, x.step, y + i, y.step, out);
  });
}

py::object where(py::handle condition, py::handle x, py::handle y) {
  const ArrayView c_view = operand("where", "condition", condition);
  const ArrayView x_view = operand("where", "x", x), y_view = operand("where", "y", y);
  return c_view.holds<double>() ? where_of<double>(c_view, x_view, y_view) : where_of<float>(c_view, x_view, y_view);
}

}  // namespace

void bind_map(py::module_& module) {
  module.def("map", &map, py::arg("name"), py::arg("x"));
  module.def("map2", &map2, py::arg("name"), py::arg("x"), py::arg("y"));
  module.def("where", &where, py::arg("condition"), py::arg("x"), py::arg("y"));
  module.def("map_names", [] {
    const auto& table = kernels::table<double>().map;
    return names_of(table.functions, table.count);
  });
  module.def("map2_names", [] {
    const auto& table = kernels::table<double>().map;
    return names_of(table.binary, table.binary_count);
  });
}

}  // namespace matgrad::bindings
