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

/// The largest block of B that is packed: kBlockTerms rows, and that many columns; and rows of a block of A.
constexpr int64_t kBlockTerms = 256;
template <class T>
constexpr int64_t kBlockColumns = 2048 / int64_t(sizeof(T));
constexpr int64_t kBlockRows = 16 * kTileRows;

MATGRAD_INLINE int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

/// Elements from one packed panel of A to the next: the stores of its last column may write beyond it.
template <class T>
constexpr int64_t left_panel(int64_t k) {
  return kTileRows * k + kLanes<T>;
}

template <class T>
constexpr int64_t kLeftSize = 16 * left_panel<T>(kBlockTerms) + 16;

/// Packs R rows and k columns of A, one column after the other.
template <int R, class T>
void pack_left_panel(int64_t k, const T* A, int64_t a_row, int64_t a_column, T* packed) {
  constexpr int64_t L = kLanes<T>;
  constexpr int parts = (R + L - 1) / L;
  int64_t p = 0;
  if (a_column == 1) {
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

/// Packs `rows` rows and k columns of A as panels of kTileRows rows or fewer.
template <class T>
void pack_left(int64_t rows, int64_t k, const T* A, int64_t a_row, int64_t a_column, T* packed) {
  constexpr int64_t L = kLanes<T>;
  if (a_row == 1) {
    constexpr int64_t kAtOnce = 16;  // columns, of which lines of the cache are read in whole
    for (int64_t first = 0; first < k; first += kAtOnce) {
      const int64_t last = k - first < kAtOnce ? k : first + kAtOnce;
      T* to = packed;
      for_pieces<kTileRows>(rows, [&](int64_t i0, auto R) {
        constexpr int64_t parts = (R.value + L - 1) / L;
        for (int64_t p = first; p < last; ++p) {
          for_constants<parts>([&](auto v) {
            constexpr int64_t count = v.value + 1 < parts ? L : R.value - v.value * L;
            store(to + p * R.value + v.value * L, load_first(A + p * a_column + i0 + v.value * L, count));
          });
        }
        to += left_panel<T>(k);
      });
    }
    return;
  }
  for_pieces<kTileRows>(rows, [&](int64_t i0, auto R) {
    pack_left_panel<R.value, T>(k, A + i0 * a_row, a_row, a_column, packed);
    packed += left_panel<T>(k);
  });
}

/// Calls f(first, Constant<size>) for panels of kTileBlocks of `blocks` registers, and one of what remains.
template <class F>
MATGRAD_INLINE void for_panels(int64_t blocks, const F& f) {
  int64_t first = 0;
  for (; first + kTileBlocks <= blocks; first += kTileBlocks) f(first, Constant<kTileBlocks>{});
  if constexpr (kTileBlocks > 1) {
    if (first < blocks) with_constant<kTileBlocks - 1>(blocks - first, [&](auto size) { f(first, size); });
  }
}

/// Packs diag(d) B, with k rows, as panels, row by row; d may be null.
template <class T>
void pack_right(int64_t k, int64_t columns, const T* B, int64_t b_row, int64_t b_column, const T* d, int64_t d_step,
                T* packed) {
  constexpr int64_t L = kLanes<T>;
  const int64_t blocks = (columns + L - 1) / L;
  if (b_column == 1) {
    for (int64_t p = 0; p < k; ++p, B += b_row) {
      const T factor = d ? d[p * d_step] : T(1);
      __builtin_prefetch(B + 8 * b_row);
      for_panels(blocks, [&](int64_t v0, auto V) {
        T* to = packed + v0 * L * k + p * V.value * L;
        const T* from = B + v0 * L;
        if ((v0 + V.value) * L <= columns) {
          for_constants<V.value>([&](auto v) { store(to + v.value * L, factor * load(from + v.value * L)); });
        } else {
          for_constants<V.value>([&](auto v) {
            const int64_t count = v.value + 1 < V.value ? L : columns - (v0 + v.value) * L;
            store(to + v.value * L, factor * load_first(from + v.value * L, count));
          });
        }
      });
    }
    return;
  }
  for_panels(blocks, [&](int64_t v0, auto V) {
    const int64_t row = V.value * L, first = v0 * L, count = columns - first < row ? columns - first : row;
    const T* from = B + first * b_column;
    T* panel = packed + first * k;
    if (b_row == 1) {
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

/// Writes a tile of R rows and V registers; only `last` lanes of the last register are columns unless it is Whole.
template <class T, int R, int V, bool Whole>
MATGRAD_INLINE void write_tile(const Vec<T> (&sum)[R][V], const Output<T>& out, int64_t last) {
  constexpr int64_t L = kLanes<T>;
  const bool adds = out.shift != T(0);
  T* c = out.C;
  const T* d = out.D;
#pragma GCC unroll 8
  for (int i = 0; i < R; ++i, c += out.ldc, d += out.ldd) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      const bool whole = Whole || v < V - 1;
      Vec<T> value = out.scale * sum[i][v];
      if (adds) value += out.shift * (whole ? load(d + v * L) : load_first(d + v * L, last));
      whole ? store(c + v * L, value) : store_first(c + v * L, value, last);
    }
  }
}

/// A tile of R rows and V registers of C, from its corner on; `last` lanes of the last register are columns, or all.
template <class T, int R, int V, class Right>
MATGRAD_INLINE void product_tile(const Left<T>& a, const Right& b, const Output<T>& out, int64_t last) {
  constexpr int64_t L = kLanes<T>, kLine = kLineBytes / int64_t(sizeof(T)), kLong = 64;
  if (a.inner >= kLong) {
    const T* c = out.C;
    for (int i = 0; i < R; ++i, c += out.ldc) {
      for (int64_t j = 0; j < V * L; j += kLine) __builtin_prefetch(c + j, 1);
    }
  }
  Vec<T> sum[R][V] = {};
  multiply_into<T, R, V>(1, a, b, sum);
  last == L ? write_tile<T, R, V, true>(sum, out, last) : write_tile<T, R, V, false>(sum, out, last);
}

/// Whether that many lines of a matrix, `stride` elements apart, stay in the second-level cache without being packed.
template <class T>
bool is_near(int64_t lines, int64_t stride) {
  constexpr int64_t kNear = 1 << 17;
  return (stride < 0 ? -stride : stride) * lines * int64_t(sizeof(T)) <= kNear;
}

/// Whether B is packed: where its rows aren't contiguous or are to be scaled, or it is read often enough to pay.
template <class T>
bool packs_right(const Product<T>& product) {
  constexpr int64_t kOften = 8 * kTileRows;
  return product.b_column != 1 || product.d != nullptr ||
         (product.rows >= kOften && !is_near<T>(product.k, product.b_row));
}

/// Whether A is packed: it is read once for every panel of B, and with its columns far apart in pieces of cache lines.
template <class T>
bool packs_left(const Product<T>& product, int64_t columns) {
  constexpr int64_t kOften = 2 * kTileBlocks * kLanes<T>;
  if (columns > kOften && !is_near<T>(product.rows, product.a_row)) return true;
  return product.rows > 2 * kTileRows && !is_near<T>(product.k, product.a_column);
}

/// Rows that are read next, to be fetched into the cache a piece at a time.
template <class T>
struct Ahead {
  const T* data = nullptr;  ///< null if there are none
  int64_t row = 0, rows = 0, piece = 0;

  MATGRAD_INLINE void fetch() {
    if (data == nullptr) return;
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t p = 0; p < piece; p += kLineBytes / int64_t(sizeof(T))) __builtin_prefetch(data + i * row + p);
    }
    data += piece;
  }
};

/// Products without d of at most kBlockTerms terms; `left` and `right` are A and B as panels, or null. Of a stack of
/// them, each tile is computed for all before the next.
template <class T>
void multiply_block(const Product<T>& block, const T* left, const T* right, Ahead<T> ahead) {
  constexpr int64_t L = kLanes<T>;
  const int64_t k = block.k;
  for_pieces<kTileRows>(block.rows, [&](int64_t i0, auto R) {
    Left<T> a{block.A + i0 * block.a_row, block.a_row, block.a_column, k, 0};
    if (left) {
      a = {left, 1, R.value, k, 0};
      left += left_panel<T>(k);
    }
    for_panels((block.columns + L - 1) / L, [&](int64_t v0, auto V) {
      const int64_t first = v0 * L, end = first + V.value * L;
      ahead.fetch();
      if (end <= i0 - block.below) return;
      const int64_t last = end <= block.columns ? L : block.columns - end + L;
      const T *B = block.B + first, *D = block.D + (i0 * block.ldd + first);
      T* C = block.C + (i0 * block.ldc + first);
      Left<T> at = a;
      for (int64_t s = 0; s < block.count; ++s) {
        const Output<T> tile{block.scale, block.shift, D, block.ldd, C, block.ldc};
        if (right) {
          product_tile<T, R.value, V.value>(at, Right<T>{right + first * k, V.value * L, L}, tile, last);
        } else if (last == L) {
          product_tile<T, R.value, V.value>(at, Right<T>{B, block.b_row, L}, tile, last);
        } else {
          product_tile<T, R.value, V.value>(at, PartialRight<T>{B, block.b_row, last}, tile, last);
        }
        at.data += block.stack_A, B += block.stack_B, C += block.stack_C, D += block.stack_D;
      }
    });
  });
}

/// What follows `count` products of a stack.
template <class T>
Product<T> after(Product<T> product, int64_t count) {
  product.A += count * product.stack_A;
  product.B += count * product.stack_B;
  product.C += count * product.stack_C;
  product.D += count * product.stack_D;
  if (product.d) product.d += count * product.stack_d;
  product.count -= count;
  return product;
}

/// Multiplies a stack, as many products at once as stay in the first-level cache.
template <class T>
void multiply_stack(Product<T> stack) {
  constexpr int64_t kAtOnce = 1 << 14;
  const int64_t elements = stack.rows * stack.k + stack.k * stack.columns + stack.rows * stack.columns;
  const int64_t group = 1 + kAtOnce / (elements * int64_t(sizeof(T)) + 1);
  while (stack.count > 0) {
    Product<T> some = stack;
    some.count = least(group, stack.count);
    multiply_block<T>(some, nullptr, nullptr, Ahead<T>{});
    stack = after(stack, some.count);
  }
}

/// What follows a panel of contiguous rows: `rows` rows, fetched in as many pieces as the block has panels of columns.
template <class T>
Ahead<T> ahead(const Product<T>& block, int64_t rows) {
  constexpr int64_t kPanel = kTileBlocks * kLanes<T>;
  if (rows <= 0) return {};
  return {block.A + block.rows * block.a_row, block.a_row, rows, (block.k * kPanel / block.columns + 7) / 8 * 8};
}

/// The length of pieces of [0, total), at most `most` and as equal as multiples of `unit`, which divides `most`, allow.
inline int64_t piece(int64_t total, int64_t most, int64_t unit) {
  if (total <= most) return total > 0 ? total : 1;
  const int64_t pieces = (total + most - 1) / most;
  return least(most, ((total + pieces - 1) / pieces + unit - 1) / unit * unit);
}

/// See ProductKernels::multiply.
template <class T>
void product(const Product<T>& whole, T* scratch) {
  constexpr int64_t kNarrow = 4 * kTileBlocks * kLanes<T>;
  const bool packs_b = scratch && packs_right(whole);
  const int64_t widest = packs_b ? kBlockColumns<T> : whole.rows > kTileRows ? kNarrow : whole.columns;
  const bool packs_a = scratch && packs_left(whole, whole.columns < widest ? whole.columns : widest);
  const bool fetches_ahead = packs_a && whole.a_column == 1;
  const int64_t tallest = fetches_ahead ? kTileRows : packs_a ? kBlockRows : whole.rows;
  if (!packs_a && !packs_b && whole.columns <= widest && whole.k <= kBlockTerms) {
    return whole.count > 1 ? multiply_stack<T>(whole) : multiply_block<T>(whole, nullptr, nullptr, Ahead<T>{});
  }
  if (whole.count != 1) {
    Product<T> rest = whole;
    for (; rest.count > 0; rest = after(rest, 1)) {
      Product<T> one = rest;
      one.count = 1;
      product(one, scratch);
    }
    return;
  }
  T *const left = packs_a ? scratch : nullptr, *const right = packs_b ? scratch + kLeftSize<T> : nullptr;
  const int64_t width = piece(whole.columns, widest, kTileBlocks * kLanes<T>);
  const int64_t height = piece(whole.rows, tallest, kTileRows), terms = piece(whole.k, kBlockTerms, 8);
  for (int64_t j = 0; j < whole.columns; j += width) {
    for (int64_t p = 0; p == 0 || p < whole.k; p += terms) {
      Product<T> block = whole;
      block.columns = least(width, whole.columns - j);
      block.k = least(terms, whole.k - p);
      block.A += p * whole.a_column;
      block.B += p * whole.b_row + j * whole.b_column;
      block.C += j;
      block.D += j;
      block.below += j;
      if (p > 0) block.shift = 1, block.D = block.C, block.ldd = block.ldc;
      if (packs_b) {
        const T* d = whole.d ? whole.d + p * whole.d_step : nullptr;
        pack_right<T>(block.k, block.columns, block.B, whole.b_row, whole.b_column, d, whole.d_step, right);
      }
      for (int64_t i = 0; i < whole.rows; i += height) {
        block.rows = least(height, whole.rows - i);
        if (packs_a) pack_left<T>(block.rows, block.k, block.A, whole.a_row, whole.a_column, left);
        multiply_block<T>(block, left, right,
                          fetches_ahead ? ahead(block, least(height, whole.rows - i - height)) : Ahead<T>{});
        block.A += height * whole.a_row;
        block.C += height * block.ldc;
        block.D += height * block.ldd;
        block.below -= height;
      }
    }
  }
}

template <class T>
constexpr ProductKernels<T> product_kernels() {
  return {.multiply = product<T>, .scratch_size = kLeftSize<T> + kBlockTerms * kBlockColumns<T>};
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
