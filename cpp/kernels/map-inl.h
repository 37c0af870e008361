// Elementwise functions over arrays: one table row each.
#pragma once

#include "kernels/kernels.h"
#include "kernels/math-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

/// out[i] = function(x[i]). Four independent registers at a time hide the latency of a polynomial.
template <class T, Vec<T> (*function)(Vec<T>)>
void map(int64_t n, const T* x, T* out) {
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

template <class T>
constexpr MapFunction<T> kMapFunctions[] = {
    {"exp", map<T, exp<T>>},
    {"log", map<T, log<T>>},
    {"sqrt", map<T, sqrt<T>>},
};

template <class T>
constexpr MapKernels<T> map_kernels() {
  return {.functions = kMapFunctions<T>, .count = sizeof kMapFunctions<T> / sizeof *kMapFunctions<T>};
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
