// Products with A + Aᵀ, and that sum itself.
#include "plan/quadratic.h"
#include "plan/rows.h"
#include "plan/run.h"

namespace matgrad::plan {

template <class T>
void run(const SymmetricProduct& step, const Pointers<T>& base) {
  const int64_t n = step.n, count = iterations(step.batch, step.batch.size());
  auto at = [&](int64_t p) -> MatrixAndVector<T> {
    const Pointers<T> here = Odometer<T>(step.batch, step.batch.size(), base, p).pointers();
    return {here[1], here[2], here[0]};
  };
  const auto stride = [&](size_t k) { return step.batch.empty() ? 0 : step.batch[0].strides[k]; };
  const int64_t spacing[] = {stride(1), stride(2), stride(0)};
  symmetric_products<T>(count, n, step.lda, step.batch.size() <= 1 ? spacing : nullptr, at);
  if (step.scale == 1) return;
  for (int64_t p = 0; p < count; ++p) kernels::table<T>().reduce.multiply(n, T(step.scale), at(p).z);
}

template <class T>
void run(const SymmetricSum& step, const Pointers<T>& base) {
  auto at = [&](int64_t p) -> MatrixAndSum<T> {
    const Pointers<T> here = Odometer<T>(step.batch, step.batch.size(), base, p).pointers();
    return {here[1], here[0]};
  };
  symmetric_sums<T>(iterations(step.batch, step.batch.size()), step.n, T(step.scale), step.lda, step.ldz, at);
}

template void run(const SymmetricProduct&, const Pointers<float>&);
template void run(const SymmetricProduct&, const Pointers<double>&);
template void run(const SymmetricSum&, const Pointers<float>&);
template void run(const SymmetricSum&, const Pointers<double>&);

}  // namespace matgrad::plan
