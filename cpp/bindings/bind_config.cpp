// Instruction sets, threads, memory and how the module was built, as Python sees them.
#include <pybind11/stl.h>

#include <algorithm>

#include "bindings/arrays.h"
#include "bindings/bind.h"
#include "bindings/without_gil.h"
#include "kernels/dispatch.h"
#include "plan/available_memory.h"
#include "plan/contract.h"
#include "plan/cpu_count.h"
#include "plan/stream.h"
#include "plan/threads.h"

extern "C" {

/// The number of threads, for matgrad.interop.threadpoolctl.
__attribute__((visibility("default"))) int matgrad_get_num_threads() {
  return matgrad::threads::num_threads();
}

/// Sets it; less than 1 is 1.
__attribute__((visibility("default"))) void matgrad_set_num_threads(int n) {
  matgrad::threads::set_num_threads(std::max(n, 1));
}
}

namespace matgrad::bindings {

namespace py = pybind11;

namespace {

std::vector<std::string> names(std::span<const kernels::Kernels* const> tables) {
  std::vector<std::string> names;
  for (const kernels::Kernels* table : tables) names.emplace_back(table->isa);
  return names;
}

}  // namespace

void bind_config(py::module_& module) {
  // A wrong MATGRAD_ISA or MATGRAD_NUM_THREADS is an error of the import, not of some later call.
  kernels::active();
  threads::num_threads();
  find_main_thread();

  module.def("compiled_isas", [] { return names(kernels::compiled()); });
  module.def("available_isas", [] { return names(kernels::available()); });
  module.def("active_isa", [] { return std::string(kernels::active().isa); });
  module.def("set_num_threads", &threads::set_num_threads, py::arg("n"));
  module.def("get_num_threads", &threads::num_threads);
  module.def("stream_limits", [] {
    const plan::StreamLimits limits = plan::stream_limits();
    return py::make_tuple(limits.saved, limits.tile, limits.chunk);
  });
  module.def(
      "set_stream_limits",
      [](int64_t saved, int64_t tile, int64_t chunk) { plan::set_stream_limits({saved, tile, chunk}); },
      py::arg("saved"), py::arg("tile"), py::arg("chunk"));
  // For tests: the order of contractions, which no result shows.
  module.def(
      "contraction_order",
      [](const std::vector<int64_t>& lengths, const std::vector<uint64_t>& factors, const std::vector<int>& result) {
        std::vector<std::pair<int, int>> pairs;
        const plan::Network network{lengths, factors, result};
        for (const auto& [left, right] : plan::contraction_order(network, [](plan::Set) { return false; })) {
          pairs.emplace_back(left, right);
        }
        return pairs;
      },
      py::arg("lengths"), py::arg("factors"), py::arg("result"));
  module.def("available_cpus", &available_cpus);
  module.def("compiler", [] {
#if defined(__clang__)
    return std::string("Clang " __clang_version__);
#else
    return std::string("GCC " __VERSION__);
#endif
  });
  module.def(
      "require_memory",
      [](const std::string& function, const std::string& what, const std::vector<int64_t>& shape, int64_t item_size) {
        plan::require_memory(function.c_str(), what.c_str(), shape, item_size, "");
      },
      py::arg("function"), py::arg("what"), py::arg("shape"), py::arg("item_size"));
}

}  // namespace matgrad::bindings
