// Picks, once, the kernels of the best instruction set that this machine has.
#include "kernels/dispatch.h"

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

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

#if defined(__x86_64__)
/// The features of x86-64-v3, as the psABI defines it, that some compilers' __builtin_cpu_supports doesn't know.
bool has_movbe_f16c_lzcnt() {
  unsigned eax, ebx, ecx, edx;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_MOVBE) || !(ecx & bit_F16C)) return false;
  return __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && (ecx & bit_LZCNT);
}

// __builtin_cpu_supports says yes to AVX and AVX-512 only if the system saves their registers, too.

bool has_x86_64_v3() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
         __builtin_cpu_supports("fma") && has_movbe_f16c_lzcnt();
}

bool has_x86_64_v4() {
  return has_x86_64_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

std::vector<const Kernels*> detect() {
  std::vector<const Kernels*> found{&baseline::kernels};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (has_x86_64_v3()) found.push_back(&x86_64_v3::kernels);
  if (has_x86_64_v4()) found.push_back(&x86_64_v4::kernels);
#endif
  return found;
}

const Kernels& choose() {
  const char* wanted = std::getenv("MATGRAD_ISA");
  if (wanted == nullptr || *wanted == '\0') return *available().back();
  std::string names;
  for (const Kernels* table : available()) {
    if (std::string(wanted) == table->isa) return *table;
    names += names.empty() ? table->isa : std::string(", ") + table->isa;
  }
  throw std::invalid_argument("MATGRAD_ISA is '" + std::string(wanted) +
                              "' but must be one of those that this machine has: " + names);
}

}  // namespace

std::span<const Kernels* const> compiled() {
#if defined(__x86_64__)
  static const Kernels* const tables[] = {&baseline::kernels, &x86_64_v3::kernels, &x86_64_v4::kernels};
#else
  static const Kernels* const tables[] = {&baseline::kernels};
#endif
  return tables;
}

std::span<const Kernels* const> available() {
  static const std::vector<const Kernels*> found = detect();
  return found;
}

const Kernels& active() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace matgrad::kernels
