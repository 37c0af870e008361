// Sums and products of vectors, element by element; reductions to one number; transposition.
#pragma once

#include "kernels/kernels.h"
#include "kernels/map-inl.h"
#include "kernels/reduce-inl.h"
#include "kernels/tile-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

/// out[i] = function(x[i], y[i], out[i]); `Accumulate` says whether out is read.
template <bool Accumulate, class T, class Function>
MATGRAD_INLINE void combine_elements(int64_t n, const T* x, int64_t x_step, const T* y, int64_t y_step, T* out,
                                     const Function& function) {
  if (n == 0) return;
  constexpr int64_t L = kLanes<T>;
  const Source<T> a(x, x_step), b(y, y_step);
  int64_t i = 0;
  for (; i + L <= n; i += L) store(out + i, function(a.at(i), b.at(i), Accumulate ? load(out + i) : Vec<T>{}));
  if (i == n) return;
  const int64_t rest = n - i;
  const Vec<T> before = Accumulate ? load_first(out + i, rest) : Vec<T>{};
  store_first(out + i, function(a.first_at(i, rest), b.first_at(i, rest), before), rest);
}

/// See ArithmeticKernels::combine.
template <class T>
void combine(int64_t n, T a, const T* x, int64_t x_step, T b, const T* y, int64_t y_step, T* out) {
  combine_elements<false>(n, x, x_step, y, y_step, out, [=](Vec<T> x, Vec<T> y, Vec<T>) __attribute__((always_inline)) {
    return fma<T>(broadcast(a), x, b * y);
  });
}

/// See ArithmeticKernels::multiply.
template <class T>
void multiply_elements(int64_t n, T a, const T* x, int64_t x_step, const T* y, int64_t y_step, T* out) {
  combine_elements<false>(n, x, x_step, y, y_step, out,
                          [=](Vec<T> x, Vec<T> y, Vec<T>) __attribute__((always_inline)) { return a * (x * y); });
}

/// See ArithmeticKernels::divide.
template <class T>
void divide_elements(int64_t n, const T* x, int64_t x_step, const T* y, int64_t y_step, T* out) {
  combine_elements<false>(n, x, x_step, y, y_step, out,
                          [](Vec<T> x, Vec<T> y, Vec<T>) __attribute__((always_inline)) { return x / y; });
}

/// See ArithmeticKernels::multiply_add.
template <class T>
void multiply_add_elements(int64_t n, const T* x, int64_t x_step, const T* y, int64_t y_step, T* out) {
  combine_elements<true>(n, x, x_step, y, y_step, out,
                         [](Vec<T> x, Vec<T> y, Vec<T> sum)
                             __attribute__((always_inline)) { return fma<T>(x, y, sum); });
}

/// See ArithmeticKernels::reciprocal.
template <class T>
void reciprocal(int64_t n, const T* x, T* out) {
  constexpr int64_t L = kLanes<T>;
  int64_t i = 0;
  for (; i + L <= n; i += L) store(out + i, T(1) / load(x + i));
  if (i < n) store_first(out + i, T(1) / load_first(x + i, n - i), n - i);
}

/// See ArithmeticKernels::sum.
template <class T>
T sum_elements(int64_t n, const T* x) {
  return sum_blocks<T>(n, [=](int64_t j, int64_t count, Vec<T> sum)
                              __attribute__((always_inline)) { return sum + load_block(x + j, count); });
}

/// join(x[0], join(x[1], …)) in some order, which depends on n alone; `neutral` fills up registers.
template <class T, Vec<T> (*join)(Vec<T>, Vec<T>)>
T reduce_elements(int64_t n, const T* x, T neutral) {
  constexpr int64_t L = kLanes<T>;
  Vec<T> parts[4];
  for (auto& part : parts) part = broadcast(neutral);
  int64_t i = 0;
  for (; i + 4 * L <= n; i += 4 * L) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) parts[k] = join(parts[k], load(x + i + k * L));
  }
  for (; i + L <= n; i += L) parts[0] = join(parts[0], load(x + i));
  if (i < n) {
    T last[kLanes<T>];
    store(last, broadcast(neutral));
    std::memcpy(last, x + i, size_t(n - i) * sizeof(T));
    parts[1] = join(parts[1], load(last));
  }
  Vec<T> whole = join(join(parts[0], parts[1]), join(parts[2], parts[3]));
  Vec<T> result = broadcast(whole[0]);
  for (int lane = 1; lane < kLanes<T>; ++lane) result = join(result, broadcast(whole[lane]));
  return result[0];
}

template <class T>
MATGRAD_INLINE Vec<T> times(Vec<T> a, Vec<T> b) {
  return a * b;
}

/// See ArithmeticKernels::maximum.
template <class T>
T maximum_of_elements(int64_t n, const T* x) {
  return reduce_elements<T, maximum<T>>(n, x, -Format<T>::kInfinity);
}

/// See ArithmeticKernels::minimum.
template <class T>
T minimum_of_elements(int64_t n, const T* x) {
  return reduce_elements<T, minimum<T>>(n, x, Format<T>::kInfinity);
}

/// See ArithmeticKernels::product.
template <class T>
T product_of_elements(int64_t n, const T* x) {
  return reduce_elements<T, times<T>>(n, x, T(1));
}

template <class T>
constexpr ArithmeticKernels<T> arithmetic_kernels() {
  return {.combine = combine<T>,
          .multiply = multiply_elements<T>,
          .divide = divide_elements<T>,
          .multiply_add = multiply_add_elements<T>,
          .reciprocal = reciprocal<T>,
          .sum = sum_elements<T>,
          .maximum = maximum_of_elements<T>,
          .minimum = minimum_of_elements<T>,
          .product = product_of_elements<T>,
          .transpose = transpose_block<Memory::kSource, false, T>};
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
