// Loops over a matrix A for forms quadratic in x: xᵀA x, (A + Aᵀ) x and A + Aᵀ, each reading A once.
#pragma once

#include "kernels/kernels.h"
#include "kernels/tile-inl.h"
#include "kernels/vec-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

/// Columns before the first at which all rows of A are aligned to the register's size; 0 if there is none worth it.
template <class T>
int64_t unaligned_columns(int64_t n, const T* A, int64_t lda) {
  if (n < 16 * kLanes<T> || lda % kLanes<T> != 0) return 0;
  return int64_t(-reinterpret_cast<uintptr_t>(A) % kVectorBytes / sizeof(T));
}

/// Calls step(j, first, last) for columns [0, n) of a row, kLanes at a time: lanes [first, last) are those of columns
/// j + first to j + last. Whatever head is, columns share a lane if their numbers
/// are equal modulo kLanes, so that sum_lanes of what the lanes add up to doesn't depend on it.
template <class T, class Step>
MATGRAD_INLINE void for_columns(int64_t n, int64_t head, const Step& step) {
  constexpr int64_t L = kLanes<T>;
  if (head > 0) step.template operator()<true>(head - L, L - head, L);
  int64_t j = head;
  for (; j + L <= n; j += L) step.template operator()<false>(j, 0, L);
  if (j < n) step.template operator()<true>(j, 0, n - j);
}

template <bool partial, class T>
MATGRAD_INLINE Vec<T> load_lanes(const T* p, int64_t first, int64_t last) {
  return partial ? load_between(p, first, last) : load(p);
}

/// R rows of quadratic_form: (Σ_r w[r] A[r,:]) · x.
template <class T, int R>
MATGRAD_INLINE T quadratic_form_rows(int64_t n, int64_t head, const T* A, int64_t lda, const T* x, const T* w) {
  Vec<T> weight[R], total{};
  for (int r = 0; r < R; ++r) weight[r] = broadcast(w[r]);
  for_columns<T>(n, head, [&]<bool partial>(int64_t j, int64_t first, int64_t last) {
    Vec<T> combined = weight[0] * load_lanes<partial>(A + j, first, last);
#pragma GCC unroll 8
    for (int r = 1; r < R; ++r) {
      combined = fma<T>(weight[r], load_lanes<partial>(A + r * lda + j, first, last), combined);
    }
    total = fma<T>(combined, load_lanes<partial>(x + j, first, last), total);
  });
  return sum_lanes<T>(total);
}

/// See QuadraticKernels::quadratic_form.
template <class T>
T quadratic_form(int64_t first, int64_t last, int64_t n, const T* A, int64_t lda, const T* x) {
  const int64_t head = unaligned_columns(n, A, lda);
  T total = 0;
  int64_t i = first;
  for (; i + 8 <= last; i += 8) total += quadratic_form_rows<T, 8>(n, head, A + i * lda, lda, x, x + i);
  for (; i + 4 <= last; i += 4) total += quadratic_form_rows<T, 4>(n, head, A + i * lda, lda, x, x + i);
  for (; i < last; ++i) total += quadratic_form_rows<T, 1>(n, head, A + i * lda, lda, x, x + i);
  return total;
}

/// R rows of symmetric_product: R dot products with x and R axpys into z share each load of A.
template <class T, int R>
MATGRAD_INLINE void symmetric_product_rows(int64_t n, int64_t head, const T* A, int64_t lda, const T* x, const T* w,
                                           T* z, T* y) {
  Vec<T> dot[R] = {}, weight[R];
  for (int r = 0; r < R; ++r) weight[r] = broadcast(w[r]);
  for_columns<T>(n, head, [&]<bool partial>(int64_t j, int64_t first, int64_t last) {
    Vec<T> xv = load_lanes<partial>(x + j, first, last), zv = load_lanes<partial>(z + j, first, last);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      Vec<T> a = load_lanes<partial>(A + r * lda + j, first, last);
      dot[r] = fma<T>(a, xv, dot[r]);
      zv = fma<T>(a, weight[r], zv);
    }
    partial ? store_between(z + j, zv, first, last) : store(z + j, zv);
  });
  for (int r = 0; r < R; ++r) y[r] += sum_lanes<T>(dot[r]);
}

/// See QuadraticKernels::symmetric_product.
template <class T>
void symmetric_product(int64_t first, int64_t last, int64_t n, const T* A, int64_t lda, const T* x, T* z) {
  const int64_t head = unaligned_columns(n, A, lda);
  std::memset(z, 0, size_t(n) * sizeof(T));
  int64_t i = first;
  for (; i + 8 <= last; i += 8) symmetric_product_rows<T, 8>(n, head, A + i * lda, lda, x, x + i, z, z + i);
  for (; i + 4 <= last; i += 4) symmetric_product_rows<T, 4>(n, head, A + i * lda, lda, x, x + i, z, z + i);
  for (; i < last; ++i) symmetric_product_rows<T, 1>(n, head, A + i * lda, lda, x, x + i, z, z + i);
}

/// See QuadraticKernels::small_symmetric_products. Rows and lanes past n are zero.
template <class T>
void small_symmetric_products(int64_t count, int64_t n, const T* A, int64_t lda, int64_t stack_A, const T* x,
                              int64_t stack_x, T* y, int64_t stack_y) {
  for (; count > 0; --count, A += stack_A, x += stack_x, y += stack_y) {
    Vec<T> products[kLanes<T>], xv = load_first(x, n), transposed{};
    auto row = [&](int64_t i) {
      Vec<T> a = load_first(A + i * lda, n);
      products[i] = a * xv;
      transposed = fma<T>(a, broadcast(x[i]), transposed);
    };
    if (n == kLanes<T>) {
#pragma GCC unroll 16
      for (int64_t i = 0; i < kLanes<T>; ++i) row(i);
    } else {
      for (int64_t i = 0; i < n; ++i) row(i);
      for (int64_t i = n; i < kLanes<T>; ++i) products[i] = Vec<T>{};
    }
    store_first(y, transposed + sum_rows<T>(products), n);
  }
}

/// See QuadraticKernels::add_into.
template <class T>
void add_into(int64_t count, int64_t n, const T* Z, int64_t ldz, T* y) {
  constexpr int64_t L = kLanes<T>;
  int64_t j = 0;
  for (; j + L <= n; j += L) {
    Vec<T> total = load(y + j);
    for (int64_t i = 0; i < count; ++i) total += load(Z + i * ldz + j);
    store(y + j, total);
  }
  for (; j < n; ++j) {
    for (int64_t i = 0; i < count; ++i) y[j] += Z[i * ldz + j];
  }
}

/// add_transpose with either kind of store. Memory is read and written along rows; the block is transposed in a buffer
/// whose leading dimension is no power of two, so that its columns don't compete for the same cache lines.
template <bool streaming, class T>
void add_transposed_block(int64_t rows, int64_t columns, T scale, const T* upper, const T* lower, int64_t lda,
                          T* out_upper, T* out_lower, int64_t ldo) {
  constexpr int64_t L = kLanes<T>, ld = kTransposeBlock + kLineBytes / int64_t(sizeof(T));
  alignas(kLineBytes) T buffer[kTransposeBlock * ld];
  transpose_block<Memory::kSource, false>(columns, rows, lower, lda, buffer, ld);
  for (int64_t i = 0; i < rows; ++i) {
    const T* row = upper + i * lda;
    T *sum = buffer + i * ld, *out = out_upper + i * ldo;
    int64_t j = 0;
    for (; j + L <= columns; j += L) {
      Vec<T> v = scale * (load(row + j) + load(sum + j));
      __builtin_prefetch(row + 4 * lda + j);
      store(sum + j, v);
      streaming ? stream(out + j, v) : store(out + j, v);
    }
    for (; j < columns; ++j) out[j] = sum[j] = scale * (row[j] + sum[j]);
  }
  if (out_upper != out_lower) {
    transpose_block<Memory::kTarget, streaming>(rows, columns, buffer, ld, out_lower, ldo);
  }
  if (streaming) stream_fence();
}

/// See QuadraticKernels::add_transpose.
template <class T>
void add_transpose(bool streaming, int64_t rows, int64_t columns, T scale, const T* upper, const T* lower, int64_t lda,
                   T* out_upper, T* out_lower, int64_t ldo) {
  auto add = streaming ? add_transposed_block<true, T> : add_transposed_block<false, T>;
  add(rows, columns, scale, upper, lower, lda, out_upper, out_lower, ldo);
}

template <class T>
constexpr QuadraticKernels<T> quadratic_kernels() {
  return {.quadratic_form = quadratic_form<T>,
          .symmetric_product = symmetric_product<T>,
          .small_symmetric_products = small_symmetric_products<T>,
          .small = kLanes<T>,
          .add_into = add_into<T>,
          .add_transpose = add_transpose<T>};
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
