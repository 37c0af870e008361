// The parts of the module matgrad._core, one function a file.
#pragma once

#include <pybind11/pybind11.h>

namespace matgrad::bindings {

void bind_blocks(pybind11::module_& module);
void bind_closed_form(pybind11::module_& module);
void bind_config(pybind11::module_& module);
void bind_dispatcher(pybind11::module_& module);
void bind_expr(pybind11::module_& module);
void bind_function(pybind11::module_& module);
void bind_map(pybind11::module_& module);
void bind_pickle(pybind11::module_& module);
void bind_structure(pybind11::module_& module);
void bind_xla(pybind11::module_& module);

}  // namespace matgrad::bindings
