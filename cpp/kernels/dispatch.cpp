// Picks, once, the kernels of the best instruction set that this machine has.
#include "kernels/dispatch.h"

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

namespace matgrad::kernels {

namespace baseline {
extern const Kernels kernels;
}
#if defined(__x86_64__)
namespace x86_64_v3 {
extern const Kernels kernels;
}
namespace x86_64_v4 {
extern const Kernels kernels;
}
#endif

namespace {

std::vector<const Kernels*> detect() {
  std::vector<const Kernels*> found{&baseline::kernels};
#if defined(__x86_64__)
  __builtin_cpu_init();
  bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
            __builtin_cpu_supports("bmi2");
  bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512vl");
  if (v3) found.push_back(&x86_64_v3::kernels);
  if (v4) found.push_back(&x86_64_v4::kernels);
#endif
  return found;
}

const Kernels& choose() {
  const char* wanted = std::getenv("MATGRAD_ISA");
  if (wanted == nullptr || *wanted == '\0') return *available().back();
  std::string names;
  for (const Kernels* k : available()) {
    if (std::string(wanted) == k->isa) return *k;
    names += names.empty() ? k->isa : std::string(", ") + k->isa;
  }
  throw std::invalid_argument("MATGRAD_ISA is '" + std::string(wanted) + "' but must be one of: " + names);
}

}  // namespace

std::span<const Kernels* const> available() {
  static const std::vector<const Kernels*> found = detect();
  return found;
}

const Kernels& active() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace matgrad::kernels
