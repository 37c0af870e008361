// Symmetric matrices that are sums of outer products: of rank one plus a diagonal, and of rank two; row by row.
//
// Entries (i, j) and (j, i) are the same products, added in either order: results are symmetric to the bit. That is why
// the two products of rank two aren't fused.
#pragma once

#include "kernels/kernels.h"
#include "kernels/vec-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

/// A row c·u. The sum with zero leaves no negative zeros.
template <class T>
struct OneProduct {
  T c;
  const T* u;
  MATGRAD_INLINE Vec<T> load_row(int64_t j) const { return fma<T>(broadcast(c), load(u + j), Vec<T>{}); }
  MATGRAD_INLINE Vec<T> load_row_first(int64_t j, int64_t count) const {
    return fma<T>(broadcast(c), load_first(u + j, count), Vec<T>{});
  }
};

/// A row c·u + d·v.
template <class T>
struct TwoProducts {
  T c;
  const T* u;
  T d;
  const T* v;
  MATGRAD_INLINE Vec<T> load_row(int64_t j) const { return c * load(u + j) + d * load(v + j); }
  MATGRAD_INLINE Vec<T> load_row_first(int64_t j, int64_t count) const {
    return c * load_first(u + j, count) + d * load_first(v + j, count);
  }
};

/// out[j] = row[j] for all j in [first, last).
template <class T, class Row>
MATGRAD_INLINE void write_row(const Row& row, int64_t first, int64_t last, T* out) {
  constexpr int64_t L = kLanes<T>;
  int64_t j = first;
  for (; j + L <= last; j += L) store(out + j, row.load_row(j));
  if (j < last) store_first(out + j, row.load_row_first(j, last - j), last - j);
}

/// The same past the cache, but for the registers at both ends that `out` shares with what isn't written.
template <class T, class Row>
MATGRAD_INLINE void stream_row(const Row& row, int64_t first, int64_t last, T* out) {
  constexpr int64_t L = kLanes<T>;
  const int64_t misaligned = int64_t(reinterpret_cast<uintptr_t>(out + first) % kVectorBytes / sizeof(T));
  int64_t j = first;
  if (misaligned > 0) {
    const int64_t count = L - misaligned < last - first ? L - misaligned : last - first;
    store_first(out + j, row.load_row_first(j, count), count);
    j += count;
  }
  for (; j + L <= last; j += L) stream(out + j, row.load_row(j));
  if (j < last) store_first(out + j, row.load_row_first(j, last - j), last - j);
}

/// See OuterKernels::rank_one.
template <class T>
void rank_one(int64_t first, int64_t last, int64_t n, const T* s, const T* diagonal, T* out, bool streaming) {
  for (int64_t i = first; i < last; ++i) {
    const OneProduct<T> row{-s[i], s};
    T* out_row = out + i * n;
    if (streaming) {
      stream_row(row, 0, i, out_row);
      stream_row(row, i + 1, n, out_row);
    } else {
      write_row(row, 0, n, out_row);
    }
    out_row[i] = diagonal[i];
  }
  if (streaming) stream_fence();
}

/// See OuterKernels::rank_two.
template <class T>
void rank_two(int64_t rows, int64_t n, const T* c, const T* u, const T* d, const T* v, T* out, bool streaming) {
  for (int64_t i = 0; i < rows; ++i) {
    const TwoProducts<T> row{c[i], u, d[i], v};
    streaming ? stream_row(row, 0, n, out + i * n) : write_row(row, 0, n, out + i * n);
  }
  if (streaming) stream_fence();
}

template <class T>
constexpr OuterKernels<T> outer_kernels() {
  return {.rank_one = rank_one<T>, .rank_two = rank_two<T>};
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
