// Instruction sets and threads, as Python sees them.
#include <pybind11/stl.h>

#include "bindings/bind.h"
#include "kernels/dispatch.h"
#include "plan/threads.h"

namespace matgrad::bindings {

namespace py = pybind11;

void bind_config(py::module_& module) {
  module.def("available_isas", [] {
    std::vector<std::string> names;
    for (const kernels::Kernels* k : kernels::available()) names.emplace_back(k->isa);
    return names;
  });
  module.def("active_isa", [] { return std::string(kernels::active().isa); });
  module.def("set_num_threads", &threads::set_num_threads, py::arg("count"));
  module.def("get_num_threads", &threads::num_threads);
}

}  // namespace matgrad::bindings
