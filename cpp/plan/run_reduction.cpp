// Reductions of rows: maximum, minimum, product, log-sum-exp.
#include "plan/logsumexp.h"
#include "plan/run.h"
#include "plan/threads.h"

namespace matgrad::plan {
namespace {

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
    case expr::Reduction::LogSumExp:
      break;
  }
  return logsumexp_of(n, x);
}

}  // namespace

template <class T>
void run(const RowReduction& step, const Pointers<T>& at) {
  T* results = at[0];
  const T* rows = at[1];
  threads::parallel_ranges(step.count, problems_per_chunk(step.length), [&](int64_t first, int64_t last) {
    for (int64_t k = first; k < last; ++k) {
      results[k] = reduce_row(step.reduction, step.length, rows + k * step.length);
    }
  });
}

template void run(const RowReduction&, const Pointers<float>&);
template void run(const RowReduction&, const Pointers<double>&);

}  // namespace matgrad::plan
