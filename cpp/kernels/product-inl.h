// Products of matrices with any strides: of the factors where they are, or packed so that they stream through caches.
//
// As in BLIS (Van Zee and van de Geijn 2015), with rows for columns: a block of B fills the second-level cache, its
// panels, a register tile wide, are read from there, while a panel of A, a register tile high, stays in the first-level
// cache.
#pragma once

#include "kernels/gemm-inl.h"
#include "kernels/kernels.h"
#include "kernels/vec-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

/// The largest block of B that is packed: kBlockTerms rows, and that many columns.
constexpr int64_t kBlockTerms = 256;
template <class T>
constexpr int64_t kBlockColumns = 2048 / int64_t(sizeof(T));

/// Elements of a packed panel of A, and what the stores of its last column may write beyond it.
template <class T>
constexpr int64_t kLeftSize = (kTileRows * kBlockTerms + kLanes<T> + 15) / 16 * 16;

/// Packs R rows and k columns of A one column after the other.
template <int R, class T>
void pack_left(int64_t k, const T* A, int64_t a_row, int64_t a_column, T* packed) {
  constexpr int64_t L = kLanes<T>;
  constexpr int parts = (R + L - 1) / L;
  int64_t p = 0;
  if (a_row == 1) {
    for (; p < k; ++p) {
      for (int v = 0; v < parts; ++v) {
        const int64_t count = v + 1 < parts ? L : R - v * L;
        store(packed + p * R + v * L, load_first(A + p * a_column + v * L, count));
      }
    }
  } else if (a_column == 1) {
    for (; p + L <= k; p += L) {
      Vec<T> tiles[parts][L] = {};
      for (int r = 0; r < R; ++r) tiles[r / L][r % L] = load(A + r * a_row + p);
      for (int v = 0; v < parts; ++v) transpose<T>(tiles[v]);
      for (int64_t c = 0; c < L; ++c) {
        for (int v = 0; v < parts; ++v) store(packed + (p + c) * R + v * L, tiles[v][c]);
      }
    }
  }
  for (; p < k; ++p) {
    for (int r = 0; r < R; ++r) packed[p * R + r] = A[r * a_row + p * a_column];
  }
}

/// Packs diag(d) B, with k rows, as panels of kTileBlocks registers or fewer; d may be null.
template <class T>
void pack_right(int64_t k, int64_t columns, const T* B, int64_t b_row, int64_t b_column, const T* d, int64_t d_step,
                T* packed) {
  constexpr int64_t L = kLanes<T>;
  for_pieces<kTileBlocks>((columns + L - 1) / L, [&](int64_t v0, auto V) {
    const int64_t row = V.value * L, first = v0 * L, count = columns - first < row ? columns - first : row;
    const T* from = B + first * b_column;
    T* panel = packed + first * k;
    if (b_column == 1) {
      pack<T>(k, count, from, b_row, panel, row, L);
    } else if (b_row == 1) {
      pack_transposed<T>(count, k, from, b_column, panel, row, L);
    } else {
      for (int64_t p = 0; p < k; ++p) {
        for (int64_t j = 0; j < row; ++j) panel[p * row + j] = j < count ? from[p * b_row + j * b_column] : T(0);
      }
    }
    for (int64_t p = 0; d && p < k; ++p) {
      T* scaled = panel + p * row;
      for (int v = 0; v < V.value; ++v) store(scaled + v * L, load(scaled + v * L) * d[p * d_step]);
    }
  });
}

/// What becomes of a tile of sums: C = scale sum + shift D.
template <class T>
struct Output {
  T scale, shift;
  const T* D;
  int64_t ldd;
  T* C;
  int64_t ldc;
};

/// A tile of R rows and V registers of C, from its corner on; `last` lanes of the last register are columns, or all.
template <class T, int R, int V, class Right>
void product_tile(const Left<T>& a, const Right& b, const Output<T>& out, int64_t last) {
  constexpr int64_t L = kLanes<T>;
  for (int i = 0; i < R; ++i) __builtin_prefetch(out.C + i * out.ldc, 1);
  Vec<T> sum[R][V] = {};
  multiply_into<T, R, V>(1, a, b, sum);
  auto write = [&](auto is_whole) {
    for_constants<R>([&](auto i) {
      T* c = out.C + i.value * out.ldc;
      const T* d = out.D + i.value * out.ldd;
      for_constants<V>([&](auto v) {
        const bool whole = is_whole.value || v.value + 1 < V;
        Vec<T> value = out.scale * sum[i.value][v.value];
        if (out.shift != T(0)) {
          value += out.shift * (whole ? load(d + v.value * L) : load_first(d + v.value * L, last));
        }
        whole ? store(c + v.value * L, value) : store_first(c + v.value * L, value, last);
      });
    });
  };
  last == L ? write(Constant<1>{}) : write(Constant<0>{});
}

/// Whether B is copied: where its rows aren't contiguous or are to be scaled, or it is read often enough to pay.
template <class T>
bool packs_right(const Product<T>& product) {
  constexpr int64_t kOften = 64;
  return product.b_column != 1 || product.d != nullptr ||
         (product.rows >= kOften && product.b_row * int64_t(sizeof(T)) > 256);
}

/// See ProductKernels::multiply.
template <class T>
void product(const Product<T>& product, T* scratch) {
  constexpr int64_t L = kLanes<T>;
  const bool packs_b = scratch && packs_right(product);
  const int64_t widest = packs_b ? kBlockColumns<T> : product.columns;
  T* const right = packs_b ? scratch + kLeftSize<T> : nullptr;
  for (int64_t j0 = 0; j0 < product.columns; j0 += widest) {
    const int64_t columns = product.columns - j0 < widest ? product.columns - j0 : widest;
    const int64_t blocks = (columns + L - 1) / L;
    const bool packs_a = scratch && blocks > 2 * kTileBlocks;
    for (int64_t p0 = 0; p0 == 0 || p0 < product.k; p0 += kBlockTerms) {
      const int64_t k = product.k - p0 < kBlockTerms ? product.k - p0 : kBlockTerms;
      const T* B = product.B + p0 * product.b_row + j0 * product.b_column;
      if (packs_b) {
        const T* d = product.d ? product.d + p0 * product.d_step : nullptr;
        pack_right<T>(k, columns, B, product.b_row, product.b_column, d, product.d_step, right);
      }
      for_pieces<kTileRows>(product.rows, [&](int64_t i0, auto R) {
        Left<T> a{product.A + i0 * product.a_row + p0 * product.a_column, product.a_row, product.a_column, k, 0};
        if (packs_a) {
          pack_left<R.value, T>(k, a.data, a.row, a.column, scratch);
          a = {scratch, 1, R.value, k, 0};
        }
        T* C = product.C + i0 * product.ldc + j0;
        Output<T> out{product.scale, T(1), C, product.ldc, C, product.ldc};
        if (p0 == 0) {
          out.shift = product.shift;
          if (product.shift != T(0)) out.D = product.D + i0 * product.ldd + j0, out.ldd = product.ldd;
        }
        for_pieces<kTileBlocks>(blocks, [&](int64_t v0, auto V) {
          const int64_t first = v0 * L, end = first + V.value * L;
          if (j0 + end <= i0 - product.below) return;
          Output<T> tile = out;
          tile.C += first;
          tile.D += first;
          const int64_t last = end <= columns ? L : columns - end + L;
          if (packs_b) {
            product_tile<T, R.value, V.value>(a, Right<T>{right + first * k, V.value * L, L}, tile, last);
          } else if (last == L) {
            product_tile<T, R.value, V.value>(a, Right<T>{B + first, product.b_row, L}, tile, last);
          } else {
            product_tile<T, R.value, V.value>(a, PartialRight<T>{B + first, product.b_row, last}, tile, last);
          }
        });
      });
    }
  }
}

template <class T>
constexpr ProductKernels<T> product_kernels() {
  return {.multiply = product<T>, .scratch_size = kLeftSize<T> + kBlockTerms * kBlockColumns<T>};
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
