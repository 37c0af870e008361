// Matrix products in registers: one micro-kernel, addressed by strides, serves every product and every layout.
//
// "Panels" are the layout of a matrix for kernels: columns are grouped in blocks of kLanes, element (i, j) is
// P[j / kLanes][i][j % kLanes], and columns that fill up the last block are zero. Rows of a block are then aligned
// registers, whatever the matrix's own row stride was.
#pragma once

#include "kernels/tile-inl.h"
#include "kernels/vec-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

/// The register tile: kTileRows × kTileBlocks registers accumulate, which leaves enough for operands.
constexpr int kTileRows = 6;
#if defined(__AVX512F__) || defined(__ARM_NEON)
constexpr int kTileBlocks = 4;
#else
constexpr int kTileBlocks = 2;
#endif

/// The left factor A of a product. Element (i, k) is data[i * row + (k / inner) * outer + (k % inner) * column].
template <class T>
struct Left {
  const T* data;
  int64_t row, column;
  int64_t inner, outer;  ///< k runs over blocks of `inner`, `outer` apart; their number is the product's `k_blocks`
};

/// The right factor B of a product: register v of row k is at data[k * row + v * block].
template <class T>
struct Right {
  const T* data;
  int64_t row, block;
  /// Register v of V of the row that begins there.
  template <int V>
  MATGRAD_INLINE Vec<T> read(const T* from, int v) const {
    return load(from + v * block);
  }
};

/// A right factor with contiguous rows of which the last register has only `last` lanes.
template <class T>
struct PartialRight {
  const T* data;
  int64_t row, last;
  template <int V>
  MATGRAD_INLINE Vec<T> read(const T* from, int v) const {
    return v < V - 1 ? load(from + v * kLanes<T>) : load_first(from + v * kLanes<T>, last);
  }
};

/// sum[i][v] += Σ_k A[i,k] B[k,v] for a tile of R rows and V registers, or -= if Negative.
template <class T, int R, int V, bool Negative = false, class RightFactor = Right<T>>
MATGRAD_INLINE void multiply_into(int64_t k_blocks, const Left<T>& a, const RightFactor& b, Vec<T> (&sum)[R][V]) {
  const T* b_row = b.data;
  for (int64_t block = 0; block < k_blocks; ++block) {
    constexpr int kGroup = 3;  // rows whose addresses the processor computes from one
    const T* rows[(R + kGroup - 1) / kGroup];
#pragma GCC unroll 8
    for (int i = 0; i < R; i += kGroup) rows[i / kGroup] = a.data + block * a.outer + i * a.row;
    for (int64_t k = 0; k < a.inner; ++k, b_row += b.row) {
      Vec<T> right[V];
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) right[v] = b.template read<V>(b_row, v);
#pragma GCC unroll 8
      for (int i = 0; i < R; ++i) {
        Vec<T> left = broadcast(rows[i / kGroup][i % kGroup * a.row]);
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) sum[i][v] = fma<T>(Negative ? -left : left, right[v], sum[i][v]);
      }
#pragma GCC unroll 8
      for (int i = 0; i < R; i += kGroup) rows[i / kGroup] += a.column;
    }
  }
}

/// A number known to the compiler, as an argument.
template <int N>
struct Constant {
  static constexpr int value = N;
};

/// Calls f(Constant<0>) to f(Constant<N - 1>) in order.
template <int N, int First = 0, class F>
MATGRAD_INLINE void for_constants(const F& f) {
  if constexpr (First < N) {
    f(Constant<First>{});
    for_constants<N, First + 1>(f);
  }
}

/// Calls f(Constant<count>) for a count from 1 to Max.
template <int Max, class F>
MATGRAD_INLINE void with_constant(int64_t count, const F& f) {
  if constexpr (Max > 1) {
    if (count < Max) return with_constant<Max - 1>(count, f);
  }
  f(Constant<Max>{});
}

/// Calls f(first, Constant<size>) for pieces of [0, total) of size at most Max and as equal as can be, in order.
template <int Max, class F>
MATGRAD_INLINE void for_pieces(int64_t total, const F& f) {
  const int64_t pieces = (total + Max - 1) / Max;
  int64_t first = 0;
  for (int64_t piece = pieces; piece > 0; --piece) {
    const int64_t size = (total - first + piece - 1) / piece;
    if (size == Max) {
      f(first, Constant<Max>{});
    } else {
      with_constant<Max>(size, [&](auto constant) { f(first, constant); });
    }
    first += size;
  }
}

/// C += A B for C of rows × (blocks registers): register v of row i is at c[i * c_row + v * c_block].
template <class T>
void multiply_add(int64_t rows, int64_t blocks, int64_t k_blocks, Left<T> a, Right<T> b, T* c, int64_t c_row,
                  int64_t c_block) {
  for_pieces<kTileBlocks>(blocks, [&](int64_t v0, auto V) {
    for_pieces<kTileRows>(rows, [&](int64_t i0, auto R) {
      Vec<T> sum[R.value][V.value] = {};
      Left<T> a_tile = a;
      a_tile.data += i0 * a.row;
      multiply_into<T, R.value, V.value>(k_blocks, a_tile, {b.data + v0 * b.block, b.row, b.block}, sum);
#pragma GCC unroll 8
      for (int i = 0; i < R.value; ++i) {
#pragma GCC unroll 8
        for (int v = 0; v < V.value; ++v) {
          T* p = c + (i0 + i) * c_row + (v0 + v) * c_block;
          store(p, load(p) + sum[i][v]);
        }
      }
    });
  });
}

/// Packs A (rows×columns) so that register v of row i is at packed[i * row + v * block]; fills up with zeros.
template <class T>
void pack(int64_t rows, int64_t columns, const T* A, int64_t lda, T* packed, int64_t row, int64_t block) {
  constexpr int64_t L = kLanes<T>;
  for (int64_t i = 0; i < rows; ++i, A += lda, packed += row) {
    T* to = packed;
    int64_t j = 0;
    for (; j + L <= columns; j += L, to += block) store(to, load(A + j));
    if (j < columns) store(to, load_first(A + j, columns - j));
  }
}

/// Packs Aᵀ likewise, A being rows×columns.
template <class T>
void pack_transposed(int64_t rows, int64_t columns, const T* A, int64_t lda, T* packed, int64_t row, int64_t block) {
  constexpr int64_t L = kLanes<T>;
  for (int64_t i = 0; i < rows; i += L, packed += block) {
    const int64_t height = rows - i < L ? rows - i : L;
    for (int64_t j = 0; j < columns; j += L) {
      const int64_t width = columns - j < L ? columns - j : L;
      Vec<T> tile[L] = {};
      for (int64_t r = 0; r < height; ++r) tile[r] = load_first(A + (i + r) * lda + j, width);
      transpose<T>(tile);
      for (int64_t c = 0; c < width; ++c) store(packed + (j + c) * row, tile[c]);
    }
  }
}

/// C = scale Σ_p P_p + shift A for rows×columns matrices P_p, `parts` of them, `part` elements apart, whose register v
/// of row i is at panels[i * row + v * block].
template <class T>
void unpack(int64_t rows, int64_t columns, const T* panels, int64_t row, int64_t block, int64_t parts, int64_t part,
            T scale, const T* A, int64_t lda, T shift, T* C, int64_t ldc) {
  constexpr int64_t L = kLanes<T>;
  for (int64_t j = 0; j < columns; j += L, panels += block) {
    const int64_t count = columns - j < L ? columns - j : L;
    for (int64_t i = 0; i < rows; ++i) {
      Vec<T> sum{};
      for (int64_t p = 0; p < parts; ++p) sum += load(panels + p * part + i * row);
      sum *= scale;
      if (shift != T(0)) sum = fma<T>(broadcast(shift), load_first(A + i * lda + j, count), sum);
      store_first(C + i * ldc + j, sum, count);
    }
  }
}

/// C = scale (Σ_p P_p)ᵀ + shift A for columns×rows matrices P_p, addressed as in `unpack`; A and C are rows×columns.
template <class T>
void unpack_transposed(int64_t rows, int64_t columns, const T* packed, int64_t row, int64_t block, int64_t parts,
                       int64_t part, T scale, const T* A, int64_t lda, T shift, T* C, int64_t ldc) {
  constexpr int64_t L = kLanes<T>;
  for (int64_t i = 0; i < rows; i += L, packed += block) {
    const int64_t height = rows - i < L ? rows - i : L;
    for (int64_t j = 0; j < columns; j += L) {
      const int64_t width = columns - j < L ? columns - j : L;
      Vec<T> tile[L] = {};
      for (int64_t c = 0; c < width; ++c) {
        for (int64_t p = 0; p < parts; ++p) tile[c] += load(packed + p * part + (j + c) * row);
      }
      transpose<T>(tile);
      for (int64_t r = 0; r < height; ++r) {
        Vec<T> sum = tile[r] * scale;
        if (shift != T(0)) sum = fma<T>(broadcast(shift), load_first(A + (i + r) * lda + j, width), sum);
        store_first(C + (i + r) * ldc + j, sum, width);
      }
    }
  }
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
