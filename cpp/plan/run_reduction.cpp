// Reductions: maximum, minimum, product, log-sum-exp; of one row after another, or of many at a time, element by
// element.
#include <cmath>
#include <cstring>

#include "plan/logsumexp.h"
#include "plan/rows.h"
#include "plan/run.h"

namespace matgrad::plan {
namespace {

/// Reductions that are made at a time; and if rows are contiguous but no longer than kShort, for which they are
/// transposed.
constexpr int64_t kWidth = 1024, kShort = 32;

template <class T>
T reduce_row(expr::Reduction reduction, int64_t n, const T* x) {
  const auto& arithmetic = kernels::table<T>().arithmetic;
  switch (reduction) {
    case expr::Reduction::Max:
      return arithmetic.maximum(n, x);
    case expr::Reduction::Min:
      return arithmetic.minimum(n, x);
    case expr::Reduction::Prod:
      return arithmetic.product(n, x);
    default:  // LogSumExp; an Ordering finds positions
      break;
  }
  return logsumexp_of(n, x);
}

/// The kernel of that name.
template <class T, class Function>
const Function& find(const Function* functions, int64_t count, const char* name) {
  return *std::find_if(functions, functions + count, [&](const Function& f) { return !std::strcmp(f.name, name); });
}

/// Up to kWidth reductions along the last kept loop.
template <class T>
class Columns {
 public:
  Columns(const RowReduction& step, const Pointers<T>& at, int64_t n) : step_(step), at_(at), n_(n) {
    if (step.reduced.empty() || stride() == 1 || step.reduced.size() > 1 || step.reduced[0].strides[1] != 1) return;
    if (n > kTile || step.reduced[0].length > kShort) return;
    kernels::table<T>().arithmetic.transpose(n, step.reduced[0].length, at[1], stride(), rows_, kTile);
    is_transposed_ = true;
  }

  void reduce() {
    const auto& table = kernels::table<T>();
    const auto& map = table.map;
    const auto by = [&](const char* name) {
      const auto& function = find<T>(map.binary, map.binary_count, name);
      for_each_row([&](const T* x, bool is_first) {
        is_first ? void(std::copy_n(x, n_, total_)) : function.apply(n_, total_, 1, x, 1, total_);
      });
    };
    switch (step_.reduction) {
      case expr::Reduction::Max:
        by("maximum");
        break;
      case expr::Reduction::Min:
        by("minimum");
        break;
      case expr::Reduction::Prod:
        for_each_row([&](const T* x, bool is_first) {
          is_first ? void(std::copy_n(x, n_, total_)) : table.arithmetic.multiply(n_, 1, total_, 1, x, 1, total_);
        });
        break;
      default:  // LogSumExp
        by("maximum");
        logsumexp();
        break;
    }
    for (int64_t i = 0; i < n_; ++i) at_[0][i * step_.kept.back().strides[0]] = total_[i];
  }

 private:
  int64_t stride() const { return step_.kept.back().strides[1]; }

  /// Calls visit(row, is_first) for the rows that are reduced, element by element.
  template <class Visit>
  void for_each_row(const Visit& visit) {
    const int64_t count = iterations(step_.reduced, step_.reduced.size());
    if (is_transposed_) {
      for (int64_t k = 0; k < count; ++k) visit(rows_ + k * kTile, k == 0);
      return;
    }
    Odometer<T> walk(step_.reduced, step_.reduced.size(), at_);
    for (int64_t k = 0; k < count; ++k, walk.next()) {
      const T* row = walk.pointers()[1];
      if (stride() != 1) {
        for (int64_t i = 0; i < n_; ++i) rows_[i] = row[i * stride()];
        row = rows_;
      }
      visit(row, k == 0);
    }
  }

  /// As logsumexp_of, `total_` being the maxima.
  void logsumexp() {
    const auto& table = kernels::table<T>();
    T others[kWidth], equal[kWidth], logarithms[kWidth];
    for (int64_t i = 0; i < n_; ++i) {
      others[i] = equal[i] = 0;
      if (!std::isfinite(total_[i])) total_[i] = 0;
    }
    for_each_row([&](const T* x, bool) { table.reduce.add_exp(n_, x, total_, others, equal); });
    auto apply = [&](const char* name, T* x) { find<T>(table.map.functions, table.map.count, name).apply(n_, x, x); };
    for (int64_t i = 0; i < n_; ++i) {
      if (equal[i] == 0) {
        equal[i] = others[i];
        others[i] = 0;
      }
      logarithms[i] = equal[i];
      others[i] = others[i] == 0 ? 0 : others[i] / equal[i];
    }
    apply("log", logarithms);
    apply("log1p", others);
    for (int64_t i = 0; i < n_; ++i) total_[i] += logarithms[i] + others[i];
  }

  const RowReduction& step_;
  const Pointers<T> at_;
  const int64_t n_;
  bool is_transposed_ = false;
  alignas(64) T total_[kWidth];
  alignas(64) T rows_[kShort * kTile];  // transposed, or one that is gathered
  static_assert(kShort * kTile >= kWidth);
};

}  // namespace

template <class T>
void run(const RowReduction& step, const Pointers<T>& base) {
  const int64_t length = iterations(step.reduced, step.reduced.size());
  const bool are_rows = step.reduced.empty() || (step.reduced.size() == 1 && step.reduced[0].strides[1] == 1);
  const bool are_short = are_rows && length <= kShort;
  if (length == 0 || step.kept.empty() || (are_rows && (!are_short || step.kept.back().length < 4))) {
    const int64_t count = iterations(step.kept, step.kept.size());
    return threads::parallel_ranges(count, problems_per_chunk(length), [&](int64_t first, int64_t last) {
      Odometer<T> walk(step.kept, step.kept.size(), base, first);
      for (int64_t k = first; k < last; ++k, walk.next()) {
        *walk.pointers()[0] = reduce_row(step.reduction, length, walk.pointers()[1]);
      }
    });
  }
  const Loop& inner = step.kept.back();
  const size_t depth = step.kept.size() - 1;
  const int64_t width = are_short ? kTile : kWidth, pieces = (inner.length + width - 1) / width;
  const int64_t grain = problems_per_chunk(std::min(inner.length, width) * length);
  threads::parallel_ranges(iterations(step.kept, depth) * pieces, grain, [&](int64_t first, int64_t last) {
    for (int64_t item = first; item < last; ++item) {
      Pointers<T> at = Odometer<T>(step.kept, depth, base, item / pieces).pointers();
      const int64_t begin = item % pieces * width;
      for (size_t k = 0; k < 2; ++k) at[k] += begin * inner.strides[k];
      Columns<T>(step, at, std::min(width, inner.length - begin)).reduce();
    }
  });
}

template <class T>
void run(const Softmax& step, const Pointers<T>& base) {
  const int64_t count = iterations(step.rows, step.rows.size());
  threads::parallel_ranges(count, problems_per_chunk(step.length), [&](int64_t first, int64_t last) {
    Odometer<T> walk(step.rows, step.rows.size(), base, first);
    for (int64_t k = first; k < last; ++k, walk.next()) softmax(step.length, walk.pointers()[1], walk.pointers()[0]);
  });
}

template void run(const Softmax&, const Pointers<float>&);
template void run(const Softmax&, const Pointers<double>&);
template void run(const RowReduction&, const Pointers<float>&);
template void run(const RowReduction&, const Pointers<double>&);

}  // namespace matgrad::plan
