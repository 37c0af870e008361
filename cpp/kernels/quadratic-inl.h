// Loops over a matrix A for forms quadratic in x: A x and Aᵀ w in one pass over A.
#pragma once

#include "kernels/kernels.h"
#include "kernels/vec-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

/// Rows [0, R) of matvec_both, R a compile-time constant: R dot products and R axpys share each load of A.
template <class T, int R>
MATGRAD_INLINE void matvec_both_rows(int64_t n, const T* A, int64_t lda, const T* x, const T* w, T* y, T* z) {
  constexpr int64_t L = kLanes<T>;
  Vec<T> dot[R] = {}, weight[R];
  for (int r = 0; r < R; ++r) weight[r] = broadcast(w[r]);
  auto step = [&](Vec<T> xv, Vec<T> zv, auto load_row) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      Vec<T> a = load_row(A + r * lda);
      dot[r] = fma<T>(a, xv, dot[r]);
      zv = fma<T>(a, weight[r], zv);
    }
    return zv;
  };
  int64_t j = 0;
  for (; j + L <= n; j += L) {
    store(z + j, step(load(x + j), load(z + j), [&](const T* row) { return load(row + j); }));
  }
  if (int64_t rest = n - j; rest > 0) {
    Vec<T> zv =
        step(load_first(x + j, rest), load_first(z + j, rest), [&](const T* row) { return load_first(row + j, rest); });
    store_first(z + j, zv, rest);
  }
  for (int r = 0; r < R; ++r) y[r] = sum_lanes<T>(dot[r]);
}

/// See QuadraticKernels::matvec_both.
template <class T>
void matvec_both(int64_t rows, int64_t n, const T* A, int64_t lda, const T* x, const T* w, T* y, T* z) {
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4) matvec_both_rows<T, 4>(n, A + i * lda, lda, x, w + i, y + i, z);
  for (; i < rows; ++i) matvec_both_rows<T, 1>(n, A + i * lda, lda, x, w + i, y + i, z);
}

template <class T>
constexpr QuadraticKernels<T> quadratic_kernels() {
  return {.matvec_both = matvec_both<T>};
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
