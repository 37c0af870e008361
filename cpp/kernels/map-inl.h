// Elementwise functions over arrays: one table row each.
#pragma once

#include "kernels/kernels.h"
#include "kernels/math-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

// A polynomial is one long chain of dependent operations: GCC must interleave the registers' chains, which it doesn't
// by default, as the processor looks ahead less far than one chain is long (10 to 30 % faster).
#if defined(__GNUC__) && !defined(__clang__)
#define MATGRAD_INTERLEAVE __attribute__((optimize("schedule-insns")))
#else
#define MATGRAD_INTERLEAVE
#endif

/// out[i] = function(x[i]). Four independent registers at a time hide latency.
template <class T, Vec<T> (*function)(Vec<T>)>
MATGRAD_INTERLEAVE void map(int64_t n, const T* x, T* out) {
  constexpr int64_t L = kLanes<T>;
  int64_t i = 0;
  for (; i + 4 * L <= n; i += 4 * L) {
    Vec<T> v[4];
#pragma GCC unroll 4
    for (int u = 0; u < 4; ++u) v[u] = function(load(x + i + u * L));
#pragma GCC unroll 4
    for (int u = 0; u < 4; ++u) store(out + i + u * L, v[u]);
  }
  for (; i + L <= n; i += L) store(out + i, function(load(x + i)));
  if (i < n) store_first(out + i, function(load_first(x + i, n - i)), n - i);
}

// clang-format off: one row each
template <class T>
constexpr MapFunction<T> kMapFunctions[] = {
    {"exp", map<T, exp<T>>},
    {"exp2", map<T, exp2<T>>},
    {"expm1", map<T, expm1<T>>},
    {"log", map<T, log<T>>},
    {"log2", map<T, log2<T>>},
    {"log10", map<T, log10<T>>},
    {"log1p", map<T, log1p<T>>},
    {"sqrt", map<T, sqrt<T>>},
    {"cbrt", map<T, cbrt<T>>},
    {"sin", map<T, sin<T>>},
    {"cos", map<T, cos<T>>},
    {"tan", map<T, tan<T>>},
    {"arcsin", map<T, arcsin<T>>},
    {"arccos", map<T, arccos<T>>},
    {"arctan", map<T, arctan<T>>},
    {"sinh", map<T, sinh<T>>},
    {"cosh", map<T, cosh<T>>},
    {"tanh", map<T, tanh<T>>},
    {"sigmoid", map<T, sigmoid<T>>},
    {"softplus", map<T, softplus<T>>},
};
// clang-format on

template <class T>
constexpr MapKernels<T> map_kernels() {
  return {.functions = kMapFunctions<T>, .count = sizeof kMapFunctions<T> / sizeof *kMapFunctions<T>};
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
