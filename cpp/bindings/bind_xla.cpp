// Functions for XLA as Python makes them, internal: matgrad._core.XlaFunction(…), and the handler that calls them.
#include <pybind11/stl.h>

#include "bindings/bind.h"
#include "bindings/xla_call.h"

namespace matgrad::bindings {

namespace py = pybind11;

void bind_xla(py::module_& module) {
  using Exprs = std::vector<expr::Expr>;
  py::class_<XlaRegistration>(module, "XlaFunction")
      .def(py::init([](int64_t number, Exprs results, Exprs symbols, Exprs checked, std::vector<bool> are_stacks,
                       int stack_ndim) {
             const expr::Definition one{std::move(results), std::move(symbols), std::move(checked)};
             auto function = std::make_shared<const XlaFunction>(one, std::move(are_stacks), stack_ndim);
             return std::make_unique<XlaRegistration>(number, std::move(function));
           }),
           py::arg("number"), py::arg("results"), py::arg("symbols"), py::arg("checked"), py::arg("are_stacks"),
           py::arg("stack_ndim"))
      .def_property_readonly("number", &XlaRegistration::number)
      .def(
          "result_shapes",
          [](const XlaRegistration& self, const std::vector<plan::Shape>& shapes) {
            return self.function().result_shapes(shapes);
          },
          py::arg("shapes"));
  module.def(
      "xla_handler",
      [](int minor_version) {
        set_xla_minor_version(minor_version);
        return py::capsule(reinterpret_cast<void*>(&handle_xla_call));
      },
      py::arg("minor_version"));
  module.def("xla_version", [] { return std::pair(xla::kMajorVersion, xla::kMinorVersion); });
}

}  // namespace matgrad::bindings
