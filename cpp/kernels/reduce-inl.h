// Sums over vectors, and the scalings that follow from them.
#pragma once

#include "kernels/kernels.h"
#include "kernels/vec-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

/// `count` elements at p, zeros in the other lanes.
template <class T>
MATGRAD_INLINE Vec<T> load_block(const T* p, int64_t count) {
  return count == kLanes<T> ? load(p) : load_first(p, count);
}

template <class T>
MATGRAD_INLINE void store_block(T* p, Vec<T> v, int64_t count) {
  count == kLanes<T> ? store(p, v) : store_first(p, v, count);
}

/// Sums over [0, n) in blocks of registers: sum = add(j, count, sum) for elements [j, j + count). Four sums run side by
/// side, so that additions needn't wait for each other.
template <class T, class Add>
MATGRAD_INLINE T sum_blocks(int64_t n, const Add& add) {
  constexpr int64_t L = kLanes<T>;
  Vec<T> sums[4] = {};
  int64_t j = 0;
  for (; j + 4 * L <= n; j += 4 * L) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) sums[k] = add(j + k * L, L, sums[k]);
  }
  for (; j + L <= n; j += L) sums[0] = add(j, L, sums[0]);
  if (j < n) sums[1] = add(j, n - j, sums[1]);
  return sum_lanes<T>((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

/// See ReduceKernels::dot.
template <class T>
T dot(int64_t n, const T* x, const T* y) {
  return sum_blocks<T>(n, [=](int64_t j, int64_t count, Vec<T> sum) __attribute__((always_inline)) {
    return fma<T>(load_block(x + j, count), load_block(y + j, count), sum);
  });
}

/// See ReduceKernels::difference.
template <class T>
T difference(int64_t n, const T* x, const T* a, T scale, T* r) {
  return sum_blocks<T>(n, [=](int64_t j, int64_t count, Vec<T> sum) __attribute__((always_inline)) {
    Vec<T> scaled = (load_block(x + j, count) - load_block(a + j, count)) * scale;
    store_block(r + j, scaled, count);
    return fma<T>(scaled, scaled, sum);
  });
}

/// See ReduceKernels::divide.
template <class T>
void divide(int64_t n, T divisor, T* x) {
  constexpr int64_t L = kLanes<T>;
  int64_t j = 0;
  for (; j + L <= n; j += L) store(x + j, load(x + j) / divisor);
  if (j < n) store_first(x + j, load_first(x + j, n - j) / divisor, n - j);
}

template <class T>
constexpr ReduceKernels<T> reduce_kernels() {
  return {.dot = dot<T>, .difference = difference<T>, .divide = divide<T>};
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
