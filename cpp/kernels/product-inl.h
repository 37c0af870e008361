// Products of matrices where they are: nothing is packed, which suits thin factors and small results.
#pragma once

#include "kernels/kernels.h"
#include "kernels/vec-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

/// The tile of C that stays in registers: kProductRows × kProductBlocks registers.
constexpr int kProductRows = 4;
constexpr int kProductBlocks = kVectorBytes == 64 ? 4 : 2;

/// One call of ProductKernels::multiply.
template <class T>
struct Product {
  int64_t k;
  const T* A;
  int64_t a_row, a_column;
  const T* B;
  int64_t ldb;
  T scale;
  bool accumulate;
  T* C;
  int64_t ldc;

  /// Rows [i, i + R) and columns [j, j + V registers) of C; only `last` lanes of the last register are columns.
  template <int R, int V, bool Whole>
  MATGRAD_INLINE void tile(int64_t i, int64_t j, int64_t last) const {
    constexpr int64_t L = kLanes<T>;
    auto read = [&](const T* row, int v) {
      return Whole || v < V - 1 ? load(row + v * L) : load_first(row + v * L, last);
    };
    Vec<T> sum[R][V] = {};
    const T *a = A + i * a_row, *b = B + j;
    for (int64_t p = 0; p < k; ++p, a += a_column, b += ldb) {
      Vec<T> right[V];
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) right[v] = read(b, v);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const Vec<T> left = broadcast(a[r * a_row]);
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) sum[r][v] = fma<T>(left, right[v], sum[r][v]);
      }
    }
    for (int r = 0; r < R; ++r) {
      T* c = C + (i + r) * ldc + j;
      for (int v = 0; v < V; ++v) {
        Vec<T> value = scale * sum[r][v];
        if (accumulate) value += read(c, v);
        Whole || v < V - 1 ? store(c + v * L, value) : store_first(c + v * L, value, last);
      }
    }
  }

  /// All rows of V registers of columns from j on.
  template <int V, bool Whole>
  void panel(int64_t rows, int64_t j, int64_t last) const {
    int64_t i = 0;
    for (; i + kProductRows <= rows; i += kProductRows) tile<kProductRows, V, Whole>(i, j, last);
    switch (rows - i) {
      case 3:
        return tile<3, V, Whole>(i, j, last);
      case 2:
        return tile<2, V, Whole>(i, j, last);
      case 1:
        return tile<1, V, Whole>(i, j, last);
    }
  }

  /// The last columns, which need V registers or fewer, the last of them not all of its lanes.
  template <int V>
  void last_panel(int64_t rows, int64_t j, int64_t columns) const {
    constexpr int64_t L = kLanes<T>;
    if constexpr (V > 1) {
      if (columns <= (V - 1) * L) return last_panel<V - 1>(rows, j, columns);
    }
    columns == V* L ? panel<V, true>(rows, j, L) : panel<V, false>(rows, j, columns - (V - 1) * L);
  }
};

/// See ProductKernels::multiply.
template <class T>
void product(int64_t rows, int64_t columns, int64_t k, const T* A, int64_t a_row, int64_t a_column, const T* B,
             int64_t ldb, T scale, bool accumulate, T* C, int64_t ldc) {
  const Product<T> product{k, A, a_row, a_column, B, ldb, scale, accumulate, C, ldc};
  constexpr int64_t kPanel = kProductBlocks * kLanes<T>;
  int64_t j = 0;
  for (; j + kPanel <= columns; j += kPanel) product.template panel<kProductBlocks, true>(rows, j, kLanes<T>);
  if (j < columns) product.template last_panel<kProductBlocks>(rows, j, columns - j);
}

template <class T>
constexpr ProductKernels<T> product_kernels() {
  return {.multiply = product<T>};
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
