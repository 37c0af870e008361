// The factorization loss ‖X − U V‖² and its gradients: the residual X − U V lives in a tile that stays in cache.
//
// With R = X − U V (weighted: W ⊙ R, the value being Σ W ⊙ R ⊙ R): ∂/∂U = −2 R Vᵀ, ∂/∂V = −2 Uᵀ R.
#pragma once

#include "kernels/gemm-inl.h"
#include "kernels/kernels.h"
#include "kernels/vec-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

/// A matrix whose rows are `stride` apart; null where there is none.
template <class T>
struct Rows {
  const T* data;
  int64_t stride;
};

/// The residual R of a strip of at most kTileBlocks registers, `tail` (0: all) lanes of the last one being in use; from
/// X (and W) at its corner into panels, block v of which starts at R + v * r_block. Returns Σ W ⊙ R ⊙ R.
template <class T, int B, bool Weighted, bool Tail>
T residual_strip(int64_t rows, int64_t tail, int64_t rank, Rows<T> X, Rows<T> W, Rows<T> U, const T* V, T* R,
                 int64_t r_block, const T* next) {
  constexpr int64_t L = kLanes<T>;
  Vec<T> squares{};
  for_pieces<kTileRows>(rows, [&](int64_t i0, auto M) {
    for (int i = 0; i < M.value; ++i) {
      for (int v = 0; v < B; ++v) __builtin_prefetch(next + (i0 + i) * X.stride + v * L, 0, 2);
    }
    auto row_part = [&](Rows<T> A, auto i, auto v) {
      const T* p = A.data + (i0 + i.value) * A.stride + v.value * L;
      return Tail && v.value + 1 == B ? load_first(p, tail) : load(p);
    };
    Vec<T> residual[M.value][B];
    for_constants<M.value>(
        [&](auto i) { for_constants<B>([&](auto v) { residual[i.value][v.value] = row_part(X, i, v); }); });
    multiply_into<T, M.value, B, true>(1, {U.data + i0 * U.stride, U.stride, 1, rank, 0}, {V, L, rank * L}, residual);
    Vec<T> tile_squares[B] = {};
    for_constants<M.value>([&](auto i) {
      for_constants<B>([&](auto v) {
        Vec<T> r = residual[i.value][v.value];
        if (Tail && v.value + 1 == B) r = keep_first<T>(r, tail);  // 0 · infinity isn't 0
        Vec<T> weighted = r;
        if constexpr (Weighted) weighted = r * row_part(W, i, v);
        tile_squares[v.value] = fma<T>(r, weighted, tile_squares[v.value]);
        store(R + v.value * r_block + (i0 + i.value) * L, weighted);
      });
    });
    for (int v = 0; v < B; ++v) squares += tile_squares[v];
  });
  return sum_lanes<T>(squares);
}

/// residual_strip for any number of columns up to kTileBlocks registers, weighted if W isn't null.
template <class T>
T residual_strip(int64_t rows, int64_t columns, int64_t rank, Rows<T> X, Rows<T> W, Rows<T> U, const T* V, T* R,
                 int64_t r_block, const T* next) {
  constexpr int64_t L = kLanes<T>;
  const int64_t tail = columns % L;
  T value = 0;
  with_constant<kTileBlocks>((columns + L - 1) / L, [&](auto B) {
    auto strip = [&](auto weighted, auto has_tail) {
      value =
          residual_strip<T, B.value, weighted.value, has_tail.value>(rows, tail, rank, X, W, U, V, R, r_block, next);
    };
    if (W.data) {
      tail ? strip(Constant<1>{}, Constant<1>{}) : strip(Constant<1>{}, Constant<0>{});
    } else {
      tail ? strip(Constant<0>{}, Constant<1>{}) : strip(Constant<0>{}, Constant<0>{});
    }
  });
  return value;
}

/// The largest tile. Its residual, 288 KiB, fits the second-level cache beside what it is multiplied by.
constexpr int64_t kPanelRows = 48 * kTileRows;
template <class T>
constexpr int64_t kPanelColumns = 1024 / int64_t(sizeof(T));

/// See FactorizationKernels::block.
template <class T>
double factorization_block(int64_t rows, int64_t columns, int64_t rank, const T* X, int64_t ldx, const T* W,
                           int64_t ldw, const T* U, int64_t ldu, const T* V, const T* Vt, int64_t vt_block, T* UG,
                           int64_t ug_block, T* VG, T* residual) {
  constexpr int64_t L = kLanes<T>, S = kTileBlocks * L;
  const int64_t rank_blocks = (rank + L - 1) / L;
  const int64_t panels = (rows + kPanelRows - 1) / kPanelRows;
  const int64_t panel = panels == 0 ? 1 : (rows + panels * kTileRows - 1) / (panels * kTileRows) * kTileRows;
  double value = 0;
  for (int64_t j0 = 0; j0 < columns; j0 += kPanelColumns<T>) {
    const int64_t width = columns - j0 < kPanelColumns<T> ? columns - j0 : kPanelColumns<T>;
    for (int64_t i0 = 0; i0 < rows; i0 += panel) {
      const int64_t height = rows - i0 < panel ? rows - i0 : panel;
      const T* u = U + i0 * ldu;
      for (int64_t s = 0; s < width; s += S) {
        const int64_t strip = width - s < S ? width - s : S;
        const int64_t j = j0 + s;
        // The strip to come after this one, asked for early: to the right, below, or the top of the next tiles.
        const T* next = X + i0 * ldx + j + S;
        if (s + S >= width) next = i0 + panel < rows ? X + (i0 + panel) * ldx + j0 : X + j0 + width;
        T* r = residual + s * height;
        value += residual_strip<T>(height, strip, rank, {X + i0 * ldx + j, ldx}, {W ? W + i0 * ldw + j : W, ldw},
                                   {u, ldu}, V + j * rank, r, height * L, next);
        if (VG) {
          multiply_add<T>(rank, (strip + L - 1) / L, 1, {u, 1, ldu, height, 0}, {r, L, height * L}, VG + j * rank, L,
                          rank * L);
        }
      }
      if (UG) {
        multiply_add<T>(height, rank_blocks, (width + L - 1) / L, {residual, L, 1, L, height * L},
                        {Vt + j0 * L, L, vt_block}, UG + i0 * L, L, ug_block);
      }
    }
  }
  return value;
}

template <class T>
constexpr FactorizationKernels<T> factorization_kernels() {
  return {.pack = pack<T>,
          .pack_transposed = pack_transposed<T>,
          .unpack = unpack<T>,
          .unpack_transposed = unpack_transposed<T>,
          .residual_size = kPanelRows * kPanelColumns<T>,
          .block = factorization_block<T>};
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
