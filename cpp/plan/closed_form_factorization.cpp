// The factorization loss ‖X − U V‖² and its gradients: cuts X into blocks and deals them to threads.
#include <algorithm>

#include "kernels/dispatch.h"
#include "matgrad/closed_form.h"
#include "plan/factorization.h"
#include "plan/pages.h"
#include "plan/scratch.h"
#include "plan/threads.h"

namespace matgrad::closed_form {
namespace {

/// One problem; results that are not wanted are null.
template <class T>
struct Factorization {
  int64_t m, n, rank;
  Matrix<const T> X, U, V, W;
  T l2;
  T* value;
  Matrix<T> dU, dV;
  bool is_mapped;  ///< whether X is in a file
};

/// How X is cut: along its longer axis, or a file along its rows, into `count` pieces, whose number depends on the
/// sizes alone.
struct Cut {
  bool by_rows;
  int64_t count, piece;
};

Cut cut(int64_t m, int64_t n, int64_t rank, int64_t lanes, bool is_mapped) {
  constexpr int64_t kPiece = 512;  // rows: then summing the pieces' gradients costs little beside making them
  constexpr double kWork = 4e6;    // flops of a piece that are worth waking a thread
  const int64_t kPartials = int64_t(1) << (is_mapped ? 23 : 25);  // elements that the pieces' gradients may take
  const bool by_rows = m >= n || is_mapped;
  const int64_t length = by_rows ? m : n, partial = (by_rows ? n : m) * rank;
  int64_t count = 2 * ((length + 2 * kPiece - 1) / (2 * kPiece));
  count = std::min(count, int64_t(6.0 * double(m) * double(n) * double(rank) / kWork));
  count = std::clamp(count, int64_t(1), std::max(int64_t(1), kPartials / std::max(partial, int64_t(1))));
  const int64_t piece = round_up((length + count - 1) / count, lanes);
  return {by_rows, piece == 0 ? 1 : (length + piece - 1) / piece, piece};
}

template <class T>
void evaluate(const Factorization<T>& f) {
  const auto& kernel = kernels::table<T>().factorization;
  const int64_t lanes = kernels::active().vector_bytes / int64_t(sizeof(T));
  const int64_t m = f.m, n = f.n, rank = f.rank;
  const int64_t n_padded = round_up(n, lanes), rank_padded = round_up(rank, lanes);
  const bool gradient = f.dU.data != nullptr;
  const Cut pieces = cut(m, n, rank, lanes, f.is_mapped);

  // Pieces by rows have their own rows of UG and all of VG in a copy each, to be summed; pieces by columns vice versa.
  const int64_t ug_part = m * rank_padded, vg_part = n_padded * rank;
  const int64_t ug_parts = pieces.by_rows ? 1 : pieces.count, vg_parts = pieces.by_rows ? pieces.count : 1;
  static thread_local Scratch scratch;
  T* V = scratch.get<T>(size_t(vg_part + rank_padded * n_padded + ug_parts * ug_part + vg_parts * vg_part) +
                        size_t(pieces.count) * sizeof(double) / sizeof(T) + 1);
  T* Vt = V + vg_part;
  T* UG = Vt + rank_padded * n_padded;
  T* VG = UG + ug_parts * ug_part;
  double* values = reinterpret_cast<double*>(VG + vg_parts * vg_part);

  kernel.pack(rank, n, f.V.data, f.V.stride, V, lanes, rank * lanes);
  if (gradient) {
    kernel.pack_transposed(rank, n, f.V.data, f.V.stride, Vt, lanes, n_padded * lanes);
    for (int64_t a = 0; a < rank_padded; a += lanes) {
      std::fill_n(Vt + a * n_padded + n * lanes, (n_padded - n) * lanes, T(0));
    }
  }
  threads::parallel_for(pieces.count, [&](int64_t c) {
    static thread_local Scratch tile;
    const int64_t first = c * pieces.piece, last = std::min(first + pieces.piece, pieces.by_rows ? m : n);
    const int64_t i0 = pieces.by_rows ? first : 0, i1 = pieces.by_rows ? last : m;
    const int64_t j0 = pieces.by_rows ? 0 : first, j1 = pieces.by_rows ? n : last;
    T *ug = nullptr, *vg = nullptr;
    if (gradient) {
      ug = UG + (pieces.by_rows ? 0 : c) * ug_part;
      vg = VG + (pieces.by_rows ? c : 0) * vg_part;
      for (int64_t a = 0; a < rank_padded; a += lanes) {
        std::fill(ug + a * m + i0 * lanes, ug + a * m + i1 * lanes, T(0));
      }
      std::fill(vg + j0 * rank, vg + std::min(n_padded, round_up(j1, lanes)) * rank, T(0));
      ug += i0 * lanes;
      vg += j0 * rank;
    }
    // Pages of a file are given back before more of it is read.
    constexpr int64_t kHeld = int64_t(8) << 20;  // bytes
    const int64_t height = f.is_mapped ? std::max<int64_t>(1, kHeld / (f.X.stride * int64_t(sizeof(T)))) : i1 - i0;
    values[c] = 0;
    for (int64_t i = i0; i < i1; i += height) {
      const int64_t rows = std::min(height, i1 - i);
      const T* X = f.X.data + i * f.X.stride + j0;
      values[c] += kernel.block(rows, j1 - j0, rank, X, f.X.stride, f.W.data ? f.W.data + i * f.W.stride + j0 : nullptr,
                                f.W.stride, f.U.data + i * f.U.stride, f.U.stride, V + j0 * rank, Vt + j0 * lanes,
                                n_padded * lanes, gradient ? ug + (i - i0) * lanes : nullptr, m * lanes, vg,
                                tile.get<T>(size_t(kernel.residual_size)));
      if (f.is_mapped) plan::release_pages(X, size_t((rows - 1) * f.X.stride + j1 - j0) * sizeof(T));
    }
  });
  if (f.value != nullptr) {
    double value = 0;
    for (int64_t c = 0; c < pieces.count; ++c) value += values[c];
    if (f.l2 != T(0)) value += double(f.l2) * (sum_of_squares(m, rank, f.U) + sum_of_squares(rank, n, f.V));
    *f.value = T(value);
  }
  if (gradient) {
    kernel.unpack(m, rank, UG, lanes, m * lanes, ug_parts, ug_part, T(-2), f.U.data, f.U.stride, 2 * f.l2, f.dU.data,
                  f.dU.stride);
    constexpr int64_t kGrain = 512;  // columns of V; a multiple of any number of lanes
    threads::parallel_ranges(n, kGrain, [&](int64_t j0, int64_t j1) {
      kernel.unpack(rank, j1 - j0, VG + j0 * rank, lanes, rank * lanes, vg_parts, vg_part, T(-2), f.V.data + j0,
                    f.V.stride, 2 * f.l2, f.dV.data + j0, f.dV.stride);
    });
  }
}

/// Evaluates a stack of problems; `value` and `gradient` are the indices of these results, or -1.
template <class T>
void evaluate_all(const Problems<T>& problems, int value, int gradient) {
  const auto [m, n, rank, unused] = problems.sizes;
  // Problems of a stack run side by side; one that is large enough to be cut does so itself when it is alone.
  threads::parallel_for(problems.count, [&, m = m, n = n, rank = rank](int64_t p) {
    const auto& in = problems.in;
    const auto& out = problems.out;
    Factorization<T> f{.m = m,
                       .n = n,
                       .rank = rank,
                       .X = {problems.input(0, p), in[0].row_stride},
                       .U = {problems.input(1, p), in[1].row_stride},
                       .V = {problems.input(2, p), in[2].row_stride},
                       .W = {in[3].data ? problems.input(3, p) : nullptr, in[3].row_stride},
                       .l2 = problems.parameter,
                       .value = value < 0 ? nullptr : problems.output(value, p),
                       .dU = {nullptr, 0},
                       .dV = {nullptr, 0},
                       .is_mapped = in[0].is_mapped};
    if (gradient >= 0) {
      f.dU = {problems.output(gradient, p), out[gradient].row_stride};
      f.dV = {problems.output(gradient + 1, p), out[gradient + 1].row_stride};
    }
    evaluate(f);
  });
}

}  // namespace

template <class T>
void factorization_loss(const Problems<T>& problems) {
  evaluate_all(problems, 0, -1);
}

template <class T>
void factorization_gradient(const Problems<T>& problems) {
  evaluate_all(problems, -1, 0);
}

template <class T>
void factorization_value_and_gradient(const Problems<T>& problems) {
  evaluate_all(problems, 0, 1);
}

template void factorization_loss(const Problems<float>&);
template void factorization_loss(const Problems<double>&);
template void factorization_gradient(const Problems<float>&);
template void factorization_gradient(const Problems<double>&);
template void factorization_value_and_gradient(const Problems<float>&);
template void factorization_value_and_gradient(const Problems<double>&);

}  // namespace matgrad::closed_form
