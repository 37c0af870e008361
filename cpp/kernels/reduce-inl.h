// Sums over vectors, and the scalings that follow from them.
#pragma once

#include "kernels/kernels.h"
#include "kernels/math-inl.h"
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

/// `count` elements at p, −∞ in the other lanes.
template <class T>
MATGRAD_INLINE Vec<T> load_block_of_exponents(const T* p, int64_t count) {
  if (count == kLanes<T>) return load(p);
  Vec<T> lane;
  for (int i = 0; i < kLanes<T>; ++i) lane[i] = T(i);
  return select<T>(lane < T(count), load_first(p, count), broadcast(-Format<T>::kInfinity));
}

/// See ReduceKernels::maximum.
template <class T>
T maximum(int64_t n, const T* x) {
  constexpr int64_t L = kLanes<T>;
  Vec<T> largest[4];
  for (auto& v : largest) v = broadcast(-Format<T>::kInfinity);
  auto join = [](Vec<T> a, Vec<T> b) { return select<T>(a > b, a, b); };  // b where a is NaN
  int64_t j = 0;
  for (; j + 4 * L <= n; j += 4 * L) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) largest[k] = join(load(x + j + k * L), largest[k]);
  }
  for (; j < n; j += L) largest[0] = join(load_block_of_exponents(x + j, n - j < L ? n - j : L), largest[0]);
  Vec<T> last = join(join(largest[0], largest[1]), join(largest[2], largest[3]));
  T result = last[0];
  for (int i = 1; i < kLanes<T>; ++i) result = last[i] > result ? last[i] : result;
  return result;
}

/// See ReduceKernels::sum_exp.
template <class T>
SumOfExponentials<T> sum_exp(int64_t n, const T* x, T m) {
  Vec<T> equal{};
  T others = sum_blocks<T>(n, [=, &equal](int64_t j, int64_t count, Vec<T> sum) __attribute__((always_inline)) {
    Vec<T> exponent = load_block_of_exponents(x + j, count) - m;
    equal += select<T>(exponent == T(0), broadcast(T(1)), Vec<T>{});
    return sum + select<T>(exponent == T(0), Vec<T>{}, exp<T>(exponent));
  });
  return {others, sum_lanes<T>(equal)};
}

/// See ReduceKernels::add_exp.
template <class T>
void add_exp(int64_t n, const T* x, const T* m, T* others, T* equal) {
  constexpr int64_t L = kLanes<T>;
  for (int64_t j = 0; j < n; j += L) {
    const int64_t count = n - j < L ? n - j : L;
    const Vec<T> exponent = load_block(x + j, count) - load_block(m + j, count);
    const Mask<T> is_equal = exponent == T(0);
    store_block(equal + j, load_block(equal + j, count) + select<T>(is_equal, broadcast(T(1)), Vec<T>{}), count);
    store_block(others + j, load_block(others + j, count) + select<T>(is_equal, Vec<T>{}, exp<T>(exponent)), count);
  }
}

/// See ReduceKernels::exp.
template <class T>
T exp_and_sum(int64_t n, const T* x, T m, T* out) {
  return sum_blocks<T>(n, [=](int64_t j, int64_t count, Vec<T> sum) __attribute__((always_inline)) {
    Vec<T> e = exp<T>(load_block_of_exponents(x + j, count) - m);
    store_block(out + j, e, count);
    return sum + e;
  });
}

/// See ReduceKernels::multiply.
template <class T>
void multiply(int64_t n, T factor, T* x) {
  constexpr int64_t L = kLanes<T>;
  int64_t j = 0;
  for (; j + L <= n; j += L) store(x + j, load(x + j) * factor);
  if (j < n) store_first(x + j, load_first(x + j, n - j) * factor, n - j);
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
  return {.dot = dot<T>,
          .difference = difference<T>,
          .maximum = maximum<T>,
          .sum_exp = sum_exp<T>,
          .add_exp = add_exp<T>,
          .exp = exp_and_sum<T>,
          .multiply = multiply<T>,
          .divide = divide<T>};
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
