// The extension module matgrad._core.
#include <pybind11/pybind11.h>

#include "bindings/bind.h"

PYBIND11_MODULE(_core, module, pybind11::mod_gil_not_used()) {
  module.attr("__version__") = MATGRAD_VERSION;
  matgrad::bindings::bind_config(module);
  matgrad::bindings::bind_closed_form(module);
  matgrad::bindings::bind_expr(module);
  matgrad::bindings::bind_blocks(module);
  matgrad::bindings::bind_dispatcher(module);
  matgrad::bindings::bind_map(module);
  matgrad::bindings::bind_pickle(module);
  matgrad::bindings::bind_structure(module);
  matgrad::bindings::bind_function(module);
  matgrad::bindings::bind_xla(module);
}
