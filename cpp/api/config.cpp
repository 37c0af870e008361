// Threads, instruction sets and the version, for users.
#include "matgrad/config.h"

#include "kernels/dispatch.h"
#include "plan/threads.h"

namespace matgrad {

std::string version() {
  return MATGRAD_VERSION;
}

int get_num_threads() {
  return threads::num_threads();
}

void set_num_threads(int n) {
  threads::set_num_threads(n);
}

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const kernels::Kernels* table : kernels::available()) names.emplace_back(table->isa);
  return names;
}

std::string active_isa() {
  return kernels::active().isa;
}

}  // namespace matgrad
