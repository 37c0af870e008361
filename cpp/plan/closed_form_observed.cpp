// Factorization loss over the stored entries of a sparse X, and its gradients: cuts the rows and deals them to threads.
#include <algorithm>
#include <bit>
#include <stdexcept>

#include "kernels/dispatch.h"
#include "matgrad/closed_form.h"
#include "plan/factorization.h"
#include "plan/scratch.h"
#include "plan/threads.h"

namespace matgrad::closed_form {
namespace {

/// Throws unless row_starts and columns are those of `entries` entries in an m×n matrix.
template <class Index>
void check_pattern(int64_t m, int64_t n, int64_t entries, const Index* row_starts, const Index* columns) {
  bool rows_ordered = row_starts[0] == 0 && int64_t(row_starts[m]) <= entries;
  for (int64_t i = 0; i < m; ++i) rows_ordered &= row_starts[i] <= row_starts[i + 1];
  if (!rows_ordered) throw std::invalid_argument("X.indptr must start at 0, not decrease, and end at X.nnz");
  Index low = 0, high = -1;
  for (int64_t e = 0; e < entries; ++e) {
    low = std::min(low, columns[e]);
    high = std::max(high, columns[e]);
  }
  if (low < 0 || int64_t(high) >= n)
    throw std::invalid_argument("X.indices must be at least 0 and less than X.shape[1]");
}

/// Into how many pieces the entries are cut; depends on the sizes alone. Each piece has a gradient by V of its own,
/// which costs little to sum if it has several times as many entries as V has columns.
int64_t count_pieces(int64_t entries, int64_t n, int64_t rank) {
  constexpr int64_t kEntriesPerColumn = 12, kMinEntries = 4096, kPartials = int64_t(1) << 25;
  int64_t count = entries / std::max(kEntriesPerColumn * n, kMinEntries);
  count = std::min({count, int64_t(64), kPartials / std::max(n * rank, int64_t(1))});
  return int64_t(std::bit_floor(uint64_t(std::max(count, int64_t(1)))));
}

template <class T, class Index>
void evaluate(const Problems<T>& problems, int64_t p, const auto& rows_kernel) {
  const auto& kernel = kernels::table<T>().factorization;
  const int64_t lanes = kernels::active().vector_bytes / int64_t(sizeof(T));
  const auto [entries, m, rank, n] = problems.sizes;
  const auto* row_starts = static_cast<const Index*>(problems.pattern.row_starts);
  const auto* columns = static_cast<const Index*>(problems.pattern.columns);
  const T *values = problems.input(0, p), *U = problems.input(1, p), *V = problems.input(2, p);
  const int64_t ldu = problems.in[1].row_stride, ldv = problems.in[2].row_stride;
  const T l2 = problems.parameter;

  // Rows of U and of Vᵀ side by side with their gradients, filled up to whole registers.
  const int64_t width = round_up(rank, lanes), pieces = count_pieces(entries, n, width);
  static thread_local Scratch scratch;
  T* Us = scratch.get<T>(size_t((2 * m + (1 + pieces) * n) * width) + size_t(pieces) * sizeof(double) / sizeof(T));
  T* UG = Us + m * width;
  T* Vt = UG + m * width;
  T* VtG = Vt + n * width;
  double* squares = reinterpret_cast<double*>(VtG + pieces * n * width);
  constexpr int64_t kGrain = 512;  // columns of V that are worth waking a thread to transpose
  kernel.pack(m, rank, U, ldu, Us, width, lanes);
  threads::parallel_ranges(n, kGrain, [&, rank = rank](int64_t j0, int64_t j1) {
    kernel.pack_transposed(rank, j1 - j0, V + j0, ldv, Vt + j0 * width, width, lanes);
  });
  threads::parallel_for(pieces, [&, entries = entries, m = m, n = n](int64_t c) {
    // A row belongs to the piece in which its first entry lies, counting from the first row on.
    auto row_of = [&](int64_t piece) {
      return piece == pieces ? m : std::lower_bound(row_starts, row_starts + m, entries * piece / pieces) - row_starts;
    };
    const int64_t i0 = row_of(c), i1 = row_of(c + 1);
    std::fill(UG + i0 * width, UG + i1 * width, T(0));
    std::fill_n(VtG + c * n * width, n * width, T(0));
    squares[c] = rows_kernel(i1 - i0, row_starts + i0, columns, values, width, Us + i0 * width, Vt, UG + i0 * width,
                             VtG + c * n * width);
  });
  double value = 0;
  for (int64_t c = 0; c < pieces; ++c) value += squares[c];
  if (l2 != T(0)) value += double(l2) * (sum_of_squares<T>(m, rank, {U, ldu}) + sum_of_squares<T>(rank, n, {V, ldv}));
  *problems.output(0, p) = T(value);
  T *dU = problems.output(1, p), *dV = problems.output(2, p);
  kernel.unpack(m, rank, UG, width, lanes, 1, 0, T(-2), U, ldu, 2 * l2, dU, rank);
  threads::parallel_ranges(n, kGrain, [&, rank = rank, n = n](int64_t j0, int64_t j1) {
    kernel.unpack_transposed(rank, j1 - j0, VtG + j0 * width, width, lanes, pieces, n * width, T(-2), V + j0, ldv,
                             2 * l2, dV + j0, n);
  });
}

template <class T, class Index>
void evaluate_all(const Problems<T>& problems, const auto& rows_kernel) {
  const auto [entries, m, rank, n] = problems.sizes;
  const SparsePattern& pattern = problems.pattern;
  check_pattern(m, n, entries, static_cast<const Index*>(pattern.row_starts),
                static_cast<const Index*>(pattern.columns));
  threads::parallel_for(problems.count, [&](int64_t p) { evaluate<T, Index>(problems, p, rows_kernel); });
}

}  // namespace

template <class T>
void factorization_observed(const Problems<T>& problems) {
  const auto& kernel = kernels::table<T>().observed;
  if (problems.pattern.wide) {
    evaluate_all<T, int64_t>(problems, kernel.rows64);
  } else {
    evaluate_all<T, int32_t>(problems, kernel.rows32);
  }
}

template void factorization_observed(const Problems<float>&);
template void factorization_observed(const Problems<double>&);

}  // namespace matgrad::closed_form
