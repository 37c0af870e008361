// Sums of products. Long sums are made of shorter ones, so that rounding errors stay small;
// which ones depends on the sizes alone.
#include <algorithm>
#include <functional>

#include "kernels/dispatch.h"
#include "plan/rows.h"
#include "plan/run.h"

namespace matgrad::plan {
namespace {

/// Terms that are added one after another.
constexpr int64_t kTerms = 256;
/// Elements of a row of sums.
constexpr int64_t kSums = 512;

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
  const int64_t rows = iterations(step.summed, depth);
  Odometer<T> outer(step.summed, depth, base);
  double total = 0;
  for (int64_t k = 0; k < rows; ++k, outer.next()) total += row(outer.pointers());
  return total;
}

/// at[0] = scale Σ …, or +=.
template <class T>
void set_sum(const SumOfProducts& step, const Pointers<T>& at) {
  const double before = step.accumulate ? double(*at[0]) : 0;
  *at[0] = T(before + step.scale * sum_by_dots(step, at));
}

/// A row of sums, of which one term after another is added: at[0] = scale Σ …
template <class T>
void sum_of_rows(const SumOfProducts& step, int64_t n, const Pointers<T>& base, const Steps& strides) {
  const auto& arithmetic = kernels::table<T>().arithmetic;
  const int64_t terms = iterations(step.summed, step.summed.size());
  const T one = 1;
  alignas(64) T total[kSums], part[kSums];
  std::fill_n(total, n, T(0));
  Odometer<T> outer(step.summed, step.summed.size(), base);
  for (int64_t first = 0; first < terms; first += kTerms) {
    std::fill_n(part, n, T(0));
    for (int64_t k = first; k < std::min(terms, first + kTerms); ++k, outer.next()) {
      Pointers<T> at = outer.pointers();
      Steps steps = strides;
      if (step.operands == 2) at[2] = const_cast<T*>(&one), steps[2] = 0;
      // The sums are contiguous; operands that aren't are gathered a piece at a time.
      at[0] = part;
      steps[0] = 1;
      run_row<T>(n, 3, at, steps, [&](int64_t count, const Pointers<T>& row, const Steps& step) {
        arithmetic.multiply_add(count, row[1], step[1], row[2], step[2], row[0]);
      });
    }
    for (int64_t i = 0; i < n; ++i) total[i] += part[i];
  }
  for (int64_t i = 0; i < n; ++i) {
    T& sum = base[0][i * strides[0]];
    sum = (step.accumulate ? sum : T(0)) + T(step.scale) * total[i];
  }
}

}  // namespace

template <class T>
void run(const SumOfProducts& step, const Pointers<T>& base) {
  if (step.by_dots) {
    const size_t depth = step.kept.size();
    const int64_t sums = iterations(step.kept, depth), terms = iterations(step.summed, step.summed.size());
    if (sums == 1) {
      set_sum(step, base);
      return;
    }
    threads::parallel_ranges(sums, problems_per_chunk(terms), [&](int64_t first, int64_t last) {
      Odometer<T> walk(step.kept, depth, base, first);
      for (int64_t k = first; k < last; ++k, walk.next()) {
        set_sum(step, walk.pointers());
      }
    });
    return;
  }
  const Loop& inner = step.kept.back();
  const size_t depth = step.kept.size() - 1;
  const int64_t pieces = (inner.length + kSums - 1) / kSums, items = iterations(step.kept, depth) * pieces;
  const int64_t terms = iterations(step.summed, step.summed.size());
  threads::parallel_ranges(items, problems_per_chunk(terms * std::min(inner.length, kSums)),
                           [&](int64_t first, int64_t last) {
                             for (int64_t item = first; item < last; ++item) {
                               Pointers<T> at = Odometer<T>(step.kept, depth, base, item / pieces).pointers();
                               const int64_t begin = item % pieces * kSums;
                               for (size_t k = 0; k < kMaxOperands; ++k) at[k] += begin * inner.strides[k];
                               sum_of_rows(step, std::min(kSums, inner.length - begin), at, inner.strides);
                             }
                           });
}

template void run(const SumOfProducts&, const Pointers<float>&);
template void run(const SumOfProducts&, const Pointers<double>&);

}  // namespace matgrad::plan
