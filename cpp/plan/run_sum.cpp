// Sums of products. Long sums are made of shorter ones, so that rounding errors stay small; which ones depends on the
// sizes alone.
#include <algorithm>
#include <functional>

#include "kernels/dispatch.h"
#include "plan/rows.h"
#include "plan/run.h"
#include "plan/scratch.h"

namespace matgrad::plan {
namespace {

/// Rows of a matrix that are added one after another.
constexpr int64_t kTerms = 256;
/// Elements of a row of sums, and sums of rows that are taken at a time.
constexpr int64_t kSums = 1024, kRows = 64;
/// Columns of a matrix whose sums are one of a kernel's.
constexpr int64_t kColumns = 1024;
/// So few sums are cut along their terms, into at most that many parts.
constexpr int64_t kFewSums = 4096, kMostParts = 32;

/// Elements of a row whose sum is one of a kernel's.
constexpr int64_t kDotLength = 4096;

/// Σ x[i] y[i], or Σ x[i], for a row. Sums of parts are added in double precision.
template <class T>
double dot(int operands, int64_t n, const Pointers<T>& at, const Steps& strides) {
  const auto& table = kernels::table<T>();
  double total = 0;
  // The result isn't part of the row.
  Pointers<T> factors = at;
  Steps steps = strides;
  factors[0] = at[1];
  steps[0] = 1;
  run_row<T>(n, operands, factors, steps, [&](int64_t count, const Pointers<T>& row, const Steps& step) {
    T sum = 0;
    if (operands == 3 && (count == 1 || (step[1] != 0 && step[2] != 0))) {
      sum = table.reduce.dot(count, row[1], row[2]);
    } else if (operands == 2) {
      sum = step[1] == 0 ? T(count) * *row[1] : table.arithmetic.sum(count, row[1]);
    } else {
      const size_t repeated = step[1] == 0 ? 1 : 2;
      sum = *row[repeated] * table.arithmetic.sum(count, row[3 - repeated]);
    }
    total += sum;
  });
  return total;
}

/// One sum, whose longest part are rows.
template <class T>
double sum_by_dots(const SumOfProducts& step, const Pointers<T>& base) {
  if (step.summed.empty()) return dot<T>(step.operands, 1, base, Steps{});
  const Loop& inner = step.summed.back();
  const size_t depth = step.summed.size() - 1;
  auto row = [&](const Pointers<T>& at) {
    return reduce_ranges(
        inner.length,
        [&](int64_t first, int64_t last) {
          Pointers<T> part = at;
          for (size_t k = 1; k < kMaxOperands; ++k) part[k] += first * inner.strides[k];
          double total = 0;
          for (int64_t begin = first; begin < last; begin += kDotLength) {
            total += dot<T>(step.operands, std::min(kDotLength, last - begin), part, inner.strides);
            for (size_t k = 1; k < kMaxOperands; ++k) part[k] += kDotLength * inner.strides[k];
          }
          return total;
        },
        std::plus<>());
  };
  if (depth == 0) return row(base);
  auto rows = [&](int64_t first, int64_t last) {
    Odometer<T> outer(step.summed, depth, base, first);
    double total = 0;
    for (int64_t k = first; k < last; ++k, outer.next()) total += row(outer.pointers());
    return total;
  };
  return reduce_ranges(iterations(step.summed, depth), problems_per_chunk(inner.length), rows, std::plus<>());
}

/// at = scale sum, or +=.
template <class T>
void set(const SumOfProducts& step, T& at, double sum) {
  at = T((step.accumulate ? double(at) : 0) + step.scale * sum);
}

/// Whether the sums along the last kept loop are those of rows of a matrix, with one of another or with a vector.
bool are_sums_of_rows(const SumOfProducts& step) {
  if (step.kept.empty() || step.summed.empty()) return false;
  for (size_t k = 1; k < size_t(step.operands); ++k) {
    if (step.summed.back().strides[k] != 1) return false;
  }
  return step.kept.back().length >= 4 || step.summed.back().length <= kColumns;
}

/// Sums of rows [first, last) of a matrix, base being where the first of all begins.
template <class T>
void sums_of_rows(const SumOfProducts& step, const Pointers<T>& base, int64_t first, int64_t last) {
  const auto& matvec = kernels::table<T>().matvec;
  const Loop &rows = step.kept.back(), &inner = step.summed.back();
  const size_t depth = step.summed.size() - 1;
  const size_t matrix = rows.strides[1] == 0 ? 2 : 1, other = 3 - matrix;
  const int64_t parts = iterations(step.summed, depth);
  alignas(64) T part[kRows];
  double total[kRows];
  for (; first < last; first += kRows) {
    const int64_t count = std::min(kRows, last - first);
    std::fill_n(total, count, 0.0);
    Odometer<T> outer(step.summed, depth, base);
    for (int64_t k = 0; k < parts; ++k, outer.next()) {
      const T* A = outer.pointers()[matrix] + first * rows.strides[matrix];
      const T* X = step.operands == 3 ? outer.pointers()[other] + first * rows.strides[other] : nullptr;
      for (int64_t begin = 0; begin < inner.length; begin += kColumns) {
        matvec.dot_rows(count, std::min(kColumns, inner.length - begin), A + begin, rows.strides[matrix],
                        X == nullptr ? X : X + begin, rows.strides[other], part);
        for (int64_t i = 0; i < count; ++i) total[i] += part[i];
      }
    }
    for (int64_t i = 0; i < count; ++i) set(step, base[0][(first + i) * rows.strides[0]], total[i]);
  }
}

template <class T>
void run_by_dots(const SumOfProducts& step, const Pointers<T>& base) {
  const int64_t sums = iterations(step.kept, step.kept.size()), terms = iterations(step.summed, step.summed.size());
  if (are_sums_of_rows(step)) {
    const int64_t rows = step.kept.back().length,
                  width = std::min(std::max<int64_t>(rows, 1), problems_per_chunk(terms)),
                  pieces = (rows + width - 1) / width;
    const size_t depth = step.kept.size() - 1;
    return threads::parallel_ranges(
        iterations(step.kept, depth) * pieces, problems_per_chunk(width * terms), [&](int64_t first, int64_t last) {
          Odometer<T> walk(step.kept, depth, base, first / pieces);
          for (int64_t item = first, piece = first % pieces; item < last; ++item) {
            sums_of_rows(step, walk.pointers(), piece * width, std::min(rows, (piece + 1) * width));
            if (++piece < pieces) continue;
            piece = 0;
            walk.next();
          }
        });
  }
  threads::parallel_ranges(sums, problems_per_chunk(terms), [&](int64_t first, int64_t last) {
    Odometer<T> walk(step.kept, step.kept.size(), base, first);
    for (int64_t k = first; k < last; ++k, walk.next()) {
      set(step, *walk.pointers()[0], sum_by_dots(step, walk.pointers()));
    }
  });
}

/// A row of n sums along the last kept loop: adds terms [first, last) to `total`.
template <class T>
void add_terms(const SumOfProducts& step, const Pointers<T>& base, int64_t n, int64_t first, int64_t last, T* total) {
  const auto& table = kernels::table<T>();
  const Steps& strides = step.kept.back().strides;
  const size_t matrix = strides[1] == 0 ? 2 : 1, other = 3 - matrix;
  const bool is_matrix = strides[matrix] == 1 && (step.operands == 2 || strides[other] == 0);
  const int64_t inner = step.summed.empty() ? 1 : step.summed.back().length;
  const T one = 1;
  alignas(64) T part[kSums];
  while (first < last) {
    std::fill_n(part, n, T(0));
    for (int64_t block = std::min(last, first + kTerms); first < block;) {
      Odometer<T> outer(step.summed, step.summed.size(), base, first);
      const int64_t count = is_matrix ? std::min(block - first, inner - first % inner) : block - first;
      first += count;
      if (is_matrix) {
        const Steps jumps = step.summed.empty() ? Steps{} : step.summed.back().strides;
        const Pointers<T> at = outer.pointers();
        table.matvec.combine_rows(count, n, at[matrix], jumps[matrix], step.operands == 3 ? at[other] : &one,
                                  step.operands == 3 ? jumps[other] : 0, part);
        continue;
      }
      for (int64_t k = 0; k < count; ++k, outer.next()) {
        Pointers<T> at = outer.pointers();
        Steps steps = strides;
        if (step.operands == 2) at[2] = const_cast<T*>(&one), steps[2] = 0;
        // The sums are contiguous; operands that aren't are gathered a piece at a time.
        at[0] = part;
        steps[0] = 1;
        run_row<T>(n, 3, at, steps, [&](int64_t count, const Pointers<T>& row, const Steps& step) {
          table.arithmetic.multiply_add(count, row[1], step[1], row[2], step[2], row[0]);
        });
      }
    }
    for (int64_t i = 0; i < n; ++i) total[i] += part[i];
  }
}

/// Rows of sums, one after another: write(pointers, n, row) with n sums of which the first is where pointers say, row
/// being which of all sums that is. They are [first, last) of those rows' pieces of kSums sums.
template <class T, class Write>
void for_each_piece(const SumOfProducts& step, const Pointers<T>& base, int64_t first, int64_t last,
                    const Write& write) {
  const Loop& inner = step.kept.back();
  const size_t depth = step.kept.size() - 1;
  const int64_t pieces = (inner.length + kSums - 1) / kSums;
  for (int64_t item = first; item < last; ++item) {
    Pointers<T> at = Odometer<T>(step.kept, depth, base, item / pieces).pointers();
    const int64_t begin = item % pieces * kSums;
    for (size_t k = 0; k < kMaxOperands; ++k) at[k] += begin * inner.strides[k];
    write(at, std::min(kSums, inner.length - begin), item / pieces * inner.length + begin);
  }
}

template <class T>
void run_by_terms(const SumOfProducts& step, const Pointers<T>& base) {
  const Loop& inner = step.kept.back();
  const int64_t items = iterations(step.kept, step.kept.size() - 1) * ((inner.length + kSums - 1) / kSums);
  const int64_t sums = iterations(step.kept, step.kept.size()), terms = iterations(step.summed, step.summed.size());
  auto write = [&](const Pointers<T>& at, int64_t n, const T* total) {
    for (int64_t i = 0; i < n; ++i) set(step, at[0][i * inner.strides[0]], total[i]);
  };
  const int64_t parts =
      sums > kFewSums ? 1 : std::min(kMostParts, std::min(terms / kTerms, sums * terms / kElementsPerChunk));
  if (parts < 2) {
    return threads::parallel_ranges(
        items, problems_per_chunk(terms * std::min(inner.length, kSums)), [&](int64_t first, int64_t last) {
          for_each_piece(step, base, first, last, [&](const Pointers<T>& at, int64_t n, int64_t) {
            alignas(64) T total[kSums];
            std::fill_n(total, n, T(0));
            add_terms(step, at, n, 0, terms, total);
            write(at, n, total);
          });
        });
  }
  const int64_t width = (terms + parts - 1) / parts;
  static thread_local Scratch scratch;
  T* const totals = scratch.get<T>(size_t(parts * sums));
  std::fill_n(totals, parts * sums, T(0));
  threads::parallel_for(parts, [&](int64_t part) {
    for_each_piece(step, base, 0, items, [&](const Pointers<T>& at, int64_t n, int64_t row) {
      add_terms(step, at, n, part * width, std::min(terms, (part + 1) * width), totals + part * sums + row);
    });
  });
  kernels::table<T>().quadratic.add_into(parts - 1, sums, totals + sums, sums, totals);
  for_each_piece(step, base, 0, items,
                 [&](const Pointers<T>& at, int64_t n, int64_t row) { write(at, n, totals + row); });
}

}  // namespace

template <class T>
void run(const SumOfProducts& step, const Pointers<T>& base) {
  step.by_dots ? run_by_dots(step, base) : run_by_terms(step, base);
}

template void run(const SumOfProducts&, const Pointers<float>&);
template void run(const SumOfProducts&, const Pointers<double>&);

}  // namespace matgrad::plan
