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

/// Where an operand's registers are loaded from: one that is a single element is repeated in a register of its own.
template <class T>
struct Source {
  MATGRAD_INLINE Source(const T* x, int64_t step) : p(x), step(step) {
    if (step == 0) {
      store(repeated, broadcast(*x));
      p = repeated;
    }
  }
  MATGRAD_INLINE Vec<T> at(int64_t i) const { return load(p + i * step); }
  MATGRAD_INLINE Vec<T> first_at(int64_t i, int64_t count) const { return load_first(p + i * step, count); }

  const T* p;
  int64_t step;
  T repeated[kLanes<T>];
};

/// out[i] = function(x[i], y[i]).
template <class T, Vec<T> (*function)(Vec<T>, Vec<T>)>
MATGRAD_INTERLEAVE void map2(int64_t n, const T* x, int64_t x_step, const T* y, int64_t y_step, T* out) {
  if (n == 0) return;
  constexpr int64_t L = kLanes<T>;
  const Source<T> a(x, x_step), b(y, y_step);
  int64_t i = 0;
  for (; i + 2 * L <= n; i += 2 * L) {
    Vec<T> v[2];
#pragma GCC unroll 2
    for (int u = 0; u < 2; ++u) v[u] = function(a.at(i + u * L), b.at(i + u * L));
    store(out + i, v[0]);
    store(out + i + L, v[1]);
  }
  for (; i + L <= n; i += L) store(out + i, function(a.at(i), b.at(i)));
  if (i < n) store_first(out + i, function(a.first_at(i, n - i), b.first_at(i, n - i)), n - i);
}

/// out[i] = x[i] if condition[i] is not zero, else y[i].
template <class T>
void where(int64_t n, const T* condition, int64_t condition_step, const T* x, int64_t x_step, const T* y,
           int64_t y_step, T* out) {
  if (n == 0) return;
  constexpr int64_t L = kLanes<T>;
  const Source<T> c(condition, condition_step), a(x, x_step), b(y, y_step);
  int64_t i = 0;
  for (; i + L <= n; i += L) store(out + i, select<T>(c.at(i) != T(0), a.at(i), b.at(i)));
  if (i == n) return;
  const int64_t rest = n - i;
  store_first(out + i, select<T>(c.first_at(i, rest) != T(0), a.first_at(i, rest), b.first_at(i, rest)), rest);
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
    {"arcsinh", map<T, arcsinh<T>>},
    {"arccosh", map<T, arccosh<T>>},
    {"arctanh", map<T, arctanh<T>>},
    {"sinh", map<T, sinh<T>>},
    {"cosh", map<T, cosh<T>>},
    {"tanh", map<T, tanh<T>>},
    {"sigmoid", map<T, sigmoid<T>>},
    {"softplus", map<T, softplus<T>>},
    {"relu", map<T, relu<T>>},
    {"absolute", map<T, abs<T>>},
    {"sign", map<T, sign<T>>},
    {"floor", map<T, floor<T>>},
    {"ceil", map<T, ceil<T>>},
    {"rint", map<T, rint<T>>},
    {"trunc", map<T, trunc<T>>},
    {"logical_not", map<T, logical_not<T>>},
    {"logit", map<T, logit<T>>},
    {"entr", map<T, entr<T>>},
    {"sinc", map<T, sinc<T>>},
};

template <class T>
constexpr BinaryFunction<T> kBinaryFunctions[] = {
    {"power", map2<T, power<T>>},
    {"arctan2", map2<T, arctan2<T>>},
    {"hypot", map2<T, hypot<T>>},
    {"logaddexp", map2<T, logaddexp<T>>},
    {"maximum", map2<T, maximum<T>>},
    {"minimum", map2<T, minimum<T>>},
    {"greater", map2<T, greater<T>>},
    {"greater_equal", map2<T, greater_equal<T>>},
    {"equal", map2<T, equal<T>>},
    {"not_equal", map2<T, not_equal<T>>},
    {"copysign", map2<T, copysign<T>>},
    {"xlogy", map2<T, xlogy<T>>},
    {"xlog1py", map2<T, xlog1py<T>>},
};
// clang-format on

template <class T>
constexpr MapKernels<T> map_kernels() {
  return {.functions = kMapFunctions<T>,
          .count = sizeof kMapFunctions<T> / sizeof *kMapFunctions<T>,
          .binary = kBinaryFunctions<T>,
          .binary_count = sizeof kBinaryFunctions<T> / sizeof *kBinaryFunctions<T>,
          .where = where<T>};
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
