// Square tiles of registers, one row each: transposition, and the sums of all rows at once.
#pragma once

#include "kernels/vec-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

template <int... I>
struct Indices {};

/// CountTo<3>::type is Indices<0, 1, 2>.
template <int N, int... I>
struct CountTo : CountTo<N - 1, N - 1, I...> {};
template <int... I>
struct CountTo<0, I...> {
  using type = Indices<I...>;
};

/// The lanes of a and b whose number has bit D clear: a's stay in place, b's move D lanes up.
template <class T, int D, int... I>
MATGRAD_INLINE Vec<T> interleave_low(Vec<T> a, Vec<T> b, Indices<I...>) {
  return __builtin_shufflevector(a, b, (I & D ? kLanes<T> + I - D : I)...);
}

/// The lanes of a and b whose number has bit D set: b's stay in place, a's move D lanes down.
template <class T, int D, int... I>
MATGRAD_INLINE Vec<T> interleave_high(Vec<T> a, Vec<T> b, Indices<I...>) {
  return __builtin_shufflevector(a, b, (I & D ? kLanes<T> + I : I + D)...);
}

/// Transposes kLanes rows in place: each stage exchanges one bit of the row's number with the same bit of the lane's.
template <class T, int D = 1>
MATGRAD_INLINE void transpose(Vec<T>* rows) {
  if constexpr (D < kLanes<T>) {
    constexpr typename CountTo<kLanes<T>>::type lanes;
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<T>; ++i) {
      if (i & D) continue;
      Vec<T> low = interleave_low<T, D>(rows[i], rows[i + D], lanes);
      rows[i + D] = interleave_high<T, D>(rows[i], rows[i + D], lanes);
      rows[i] = low;
    }
    transpose<T, 2 * D>(rows);
  }
}

/// A vector whose lane i is the sum of the lanes of row i % R, for R rows, a power of two; overwrites them.
template <class T, int R = kLanes<T>, int D = 1>
MATGRAD_INLINE Vec<T> sum_rows(Vec<T>* rows) {
  if constexpr (D < kLanes<T>) {
    constexpr typename CountTo<kLanes<T>>::type lanes;
#pragma GCC unroll 16
    for (int i = 0; i < R; i += 2 * D) {
      const Vec<T> other = rows[D < R ? i + D : i];
      rows[i] = interleave_low<T, D>(rows[i], other, lanes) + interleave_high<T, D>(rows[i], other, lanes);
    }
    return sum_rows<T, R, 2 * D>(rows);
  } else {
    return rows[0];
  }
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
