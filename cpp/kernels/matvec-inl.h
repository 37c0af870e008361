// Sums over the columns and over the rows of a matrix, several rows at a time: products of a matrix and a vector.
#pragma once

#include "kernels/kernels.h"
#include "kernels/reduce-inl.h"
#include "kernels/tile-inl.h"
#include "kernels/vec-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

/// What the rows of a matrix are multiplied with in dot_rows: nothing, one vector, or the rows of another matrix.
enum class Multiplier { kNone, kVector, kRows };

/// Terms of kLanes rows of dot_rows, of `count` columns from j on, added to `sums`.
template <Multiplier multiplier, class T>
MATGRAD_INLINE void add_terms(int64_t j, int64_t count, const T* A, int64_t lda, const T* X, int64_t ldx,
                              Vec<T>* sums) {
  Vec<T> x{};
  if (multiplier == Multiplier::kVector) x = load_block(X + j, count);
#pragma GCC unroll 16
  for (int r = 0; r < kLanes<T>; ++r) {
    const Vec<T> a = load_block(A + r * lda + j, count);
    if (multiplier == Multiplier::kRows) x = load_block(X + r * ldx + j, count);
    sums[r] = multiplier == Multiplier::kNone ? sums[r] + a : fma<T>(a, x, sums[r]);
  }
}

/// See MatvecKernels::dot_rows. Two sums of each row where registers are few, so that additions needn't wait.
template <Multiplier multiplier, class T>
void dot_rows_with(int64_t rows, int64_t columns, const T* A, int64_t lda, const T* X, int64_t ldx, T* y) {
  constexpr int64_t L = kLanes<T>;
  int64_t i = 0;
  for (; i + L <= rows; i += L, A += L * lda, X += L * ldx) {
    Vec<T> sums[kLanes<T>] = {}, others[kLanes<T>] = {};
    int64_t j = 0;
    if constexpr (L <= 4) {
      for (; j + 2 * L <= columns; j += 2 * L) {
        add_terms<multiplier>(j, L, A, lda, X, ldx, sums);
        add_terms<multiplier>(j + L, L, A, lda, X, ldx, others);
      }
    }
    for (; j + L <= columns; j += L) add_terms<multiplier>(j, L, A, lda, X, ldx, sums);
    if (j < columns) add_terms<multiplier>(j, columns - j, A, lda, X, ldx, sums);
    if constexpr (L <= 4) {
      for (int r = 0; r < L; ++r) sums[r] += others[r];
    }
    store(y + i, sum_rows<T>(sums));
  }
  for (; i < rows; ++i, A += lda, X += ldx) {
    y[i] = sum_blocks<T>(columns, [=](int64_t j, int64_t count, Vec<T> sum) __attribute__((always_inline)) {
      const Vec<T> a = load_block(A + j, count);
      return multiplier == Multiplier::kNone ? sum + a : fma<T>(a, load_block(X + j, count), sum);
    });
  }
}

/// See MatvecKernels::dot_rows.
template <class T>
void dot_rows(int64_t rows, int64_t columns, const T* A, int64_t lda, const T* X, int64_t ldx, T* y) {
  if (X == nullptr) {
    dot_rows_with<Multiplier::kNone>(rows, columns, A, lda, A, 0, y);
  } else if (ldx == 0) {
    dot_rows_with<Multiplier::kVector>(rows, columns, A, lda, X, 0, y);
  } else {
    dot_rows_with<Multiplier::kRows>(rows, columns, A, lda, X, ldx, y);
  }
}

/// R rows of combine_rows: each element of y is read and written once for all of them.
template <int R, class T>
MATGRAD_INLINE void combine_few_rows(int64_t columns, const T* A, int64_t lda, const T* w, int64_t w_step, T* y) {
  constexpr int64_t L = kLanes<T>;
  Vec<T> weight[R];
  for (int r = 0; r < R; ++r) weight[r] = broadcast(w[r * w_step]);
  auto add = [&](int64_t j, int64_t count) {
    Vec<T> sum = load_block(y + j, count);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) sum = fma<T>(weight[r], load_block(A + r * lda + j, count), sum);
    store_block(y + j, sum, count);
  };
  int64_t j = 0;
  for (; j + L <= columns; j += L) add(j, L);
  if (j < columns) add(j, columns - j);
}

/// combine_rows for at most V registers of columns, `last` lanes of the last register: y stays in registers, in two
/// sums of every other row.
template <int V, class T>
MATGRAD_INLINE void combine_narrow_rows(int64_t rows, int64_t last, const T* A, int64_t lda, const T* w, int64_t w_step,
                                        T* y) {
  constexpr int64_t L = kLanes<T>;
  Vec<T> sum[2][V] = {};
  auto add = [&](const T* row, T weight, Vec<T>* to) __attribute__((always_inline)) {
    const Vec<T> factor = broadcast(weight);
#pragma GCC unroll 4
    for (int v = 0; v < V - 1; ++v) to[v] = fma<T>(factor, load(row + v * L), to[v]);
    to[V - 1] = fma<T>(factor, load_block(row + (V - 1) * L, last), to[V - 1]);
  };
  int64_t i = 0;
  for (; i + 2 <= rows; i += 2, A += 2 * lda, w += 2 * w_step) {
    add(A, w[0], sum[0]);
    add(A + lda, w[w_step], sum[1]);
  }
  if (i < rows) add(A, w[0], sum[0]);
  for (int v = 0; v < V; ++v) {
    const int64_t count = v == V - 1 ? last : L;
    store_block(y + v * L, load_block(y + v * L, count) + (sum[0][v] + sum[1][v]), count);
  }
}

/// See MatvecKernels::combine_rows.
template <class T>
void combine_rows(int64_t rows, int64_t columns, const T* A, int64_t lda, const T* w, int64_t w_step, T* y) {
  constexpr int64_t L = kLanes<T>;
  if (columns == 0) return;
  const int64_t registers = (columns + L - 1) / L, last = columns - (registers - 1) * L;
  switch (registers) {
    case 1:
      return combine_narrow_rows<1>(rows, last, A, lda, w, w_step, y);
    case 2:
      return combine_narrow_rows<2>(rows, last, A, lda, w, w_step, y);
    case 3:
      return combine_narrow_rows<3>(rows, last, A, lda, w, w_step, y);
    case 4:
      return combine_narrow_rows<4>(rows, last, A, lda, w, w_step, y);
  }
  int64_t i = 0;
  for (; i + 8 <= rows; i += 8) combine_few_rows<8>(columns, A + i * lda, lda, w + i * w_step, w_step, y);
  for (; i + 4 <= rows; i += 4) combine_few_rows<4>(columns, A + i * lda, lda, w + i * w_step, w_step, y);
  for (; i < rows; ++i) combine_few_rows<1>(columns, A + i * lda, lda, w + i * w_step, w_step, y);
}

template <class T>
constexpr MatvecKernels<T> matvec_kernels() {
  return {.dot_rows = dot_rows<T>, .combine_rows = combine_rows<T>};
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
