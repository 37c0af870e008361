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

/// Which side of a transposition lies in memory, while the other is in cache.
enum class Memory { kSource, kTarget };

/// target = sourceᵀ, source being rows×columns. Tiles are taken along the rows of the side that lies in memory.
/// `streaming` stores past the cache, for which whole tiles of the target must be aligned to the register's size.
template <Memory memory, bool streaming, class T>
void transpose_block(int64_t rows, int64_t columns, const T* source, int64_t lds, T* target, int64_t ldt) {
  constexpr int64_t L = kLanes<T>;
  const int64_t whole_rows = rows - rows % L, whole_columns = columns - columns % L;
  auto transpose_tile = [&](int64_t i, int64_t j) {
    const T* from = source + i * lds + j;
    T* to = target + j * ldt + i;
    Vec<T> tile[kLanes<T>];
#pragma GCC unroll 16
    for (int64_t r = 0; r < L; ++r) {
      tile[r] = load(from + r * lds);
      if (memory == Memory::kSource) __builtin_prefetch(from + (r + L) * lds);
    }
    transpose<T>(tile);
#pragma GCC unroll 16
    for (int64_t r = 0; r < L; ++r) streaming ? stream(to + r * ldt, tile[r]) : store(to + r * ldt, tile[r]);
  };
  if (memory == Memory::kSource) {
    for (int64_t i = 0; i < whole_rows; i += L) {
      for (int64_t j = 0; j < whole_columns; j += L) transpose_tile(i, j);
    }
  } else {
    for (int64_t j = 0; j < whole_columns; j += L) {
      for (int64_t i = 0; i < whole_rows; i += L) transpose_tile(i, j);
    }
  }
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = i < whole_rows ? whole_columns : 0; j < columns; ++j) target[j * ldt + i] = source[i * lds + j];
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
