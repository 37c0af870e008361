// Reductions of rows: maximum, minimum, product, log-sum-exp.
#include <limits>

#include "plan/logsumexp.h"
#include "plan/run.h"
#include "plan/threads.h"

namespace matgrad::plan {
namespace {

/// Values that are reduced side by side, so that they needn't wait for each other.
constexpr int64_t kSideBySide = 16;

/// join(…) of a row.
template <class T, class Join>
T reduce_row(int64_t n, const T* x, T initial, const Join& join) {
  T values[kSideBySide];
  std::fill_n(values, kSideBySide, initial);
  int64_t i = 0;
  for (; i + kSideBySide <= n; i += kSideBySide) {
    for (int64_t k = 0; k < kSideBySide; ++k) values[k] = join(values[k], x[i + k]);
  }
  for (; i < n; ++i) values[0] = join(values[0], x[i]);
  for (int64_t k = 1; k < kSideBySide; ++k) values[0] = join(values[0], values[k]);
  return values[0];
}

template <class T>
T reduce_row(expr::Reduction reduction, int64_t n, const T* x) {
  constexpr T kInfinity = std::numeric_limits<T>::infinity();
  switch (reduction) {
    case expr::Reduction::Max:  // NaN is found by either comparison, and stays
      return reduce_row(n, x, -kInfinity, [](T a, T b) { return a >= b || a != a ? a : b; });
    case expr::Reduction::Min:
      return reduce_row(n, x, kInfinity, [](T a, T b) { return a <= b || a != a ? a : b; });
    case expr::Reduction::Prod:
      return reduce_row(n, x, T(1), [](T a, T b) { return a * b; });
    case expr::Reduction::LogSumExp:
      break;
  }
  return logsumexp_of(n, x);
}

}  // namespace

template <class T>
void run(const RowReduction& step, Memory<T> memory) {
  T* results = locate(memory, step.places[0]);
  const T* rows = locate(memory, step.places[1]);
  threads::parallel_ranges(step.count, problems_per_chunk(step.length), [&](int64_t first, int64_t last) {
    for (int64_t k = first; k < last; ++k) {
      results[k] = reduce_row(step.reduction, step.length, rows + k * step.length);
    }
  });
}

template void run(const RowReduction&, Memory<float>);
template void run(const RowReduction&, Memory<double>);

}  // namespace matgrad::plan
