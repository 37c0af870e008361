// Log-sum-exp, its gradient (softmax) and its Hessian.
#include <algorithm>
#include <cmath>
#include <functional>

#include "kernels/dispatch.h"
#include "matgrad/closed_form.h"
#include "plan/chunks.h"
#include "plan/scratch.h"

namespace matgrad::closed_form {

namespace {

template <class T>
T maximum(int64_t n, const T* x) {
  const auto& reduce = kernels::table<T>().reduce;
  return reduce_ranges(
      n, [&](int64_t first, int64_t last) { return reduce.maximum(last - first, x + first); },
      [](T a, T b) { return std::max(a, b); });
}

/// m + log Σ exp(x[i] − m), m the maximum. Its own terms, exp(0), are kept apart from the others, so that nothing small
/// is lost: m + log k + log(1 + others / k), k terms being equal to the maximum.
template <class T>
T logsumexp_of(int64_t n, const T* x) {
  using Sum = kernels::SumOfExponentials<T>;
  const auto& reduce = kernels::table<T>().reduce;
  T m = maximum(n, x);
  if (!std::isfinite(m)) m = 0;
  const Sum sum = reduce_ranges(
      n, [&](int64_t first, int64_t last) { return reduce.sum_exp(last - first, x + first, m); },
      [](Sum a, Sum b) { return Sum{a.others + b.others, a.equal + b.equal}; });
  if (sum.equal == 0) return m + std::log(sum.others);
  return m + (std::log(sum.equal) + std::log1p(sum.others / sum.equal));
}

/// s = exp(x − m) / Σ exp(x[i] − m), m the maximum; all NaN where that is infinite.
template <class T>
void softmax(int64_t n, const T* x, T* s) {
  const auto& reduce = kernels::table<T>().reduce;
  const T m = maximum(n, x);
  const T sum = reduce_ranges(
      n, [&](int64_t first, int64_t last) { return reduce.exp(last - first, x + first, m, s + first); }, std::plus<>());
  threads::parallel_ranges(n, kElementsPerChunk,
                           [&](int64_t first, int64_t last) { reduce.multiply(last - first, 1 / sum, s + first); });
}

}  // namespace

template <class T>
void logsumexp(const Problems<T>& problems) {
  const int64_t n = problems.sizes[0];
  threads::parallel_ranges(problems.count, problems_per_chunk(n), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) *problems.output(0, p) = logsumexp_of(n, problems.input(0, p));
  });
}

template <class T>
void logsumexp_gradient(const Problems<T>& problems) {
  const int64_t n = problems.sizes[0];
  threads::parallel_ranges(problems.count, problems_per_chunk(n), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) softmax(n, problems.input(0, p), problems.output(0, p));
  });
}

template <class T>
void logsumexp_hessian(const Problems<T>& problems) {
  const auto& outer = kernels::table<T>().outer;
  const int64_t n = problems.sizes[0];
  const bool streaming = is_streamed<T>(problems.count * n * n);
  threads::parallel_ranges(
      problems.count, problems_per_chunk(n * n, kWrittenPerChunk), [&](int64_t begin, int64_t end) {
        static thread_local Scratch scratch;
        T *s = scratch.get<T>(2 * n), *diagonal = s + n;
        for (int64_t p = begin; p < end; ++p) {
          softmax(n, problems.input(0, p), s);
          for (int64_t i = 0; i < n; ++i) diagonal[i] = s[i] * (1 - s[i]);
          threads::parallel_ranges(n, problems_per_chunk(n, kWrittenPerChunk), [&](int64_t first, int64_t last) {
            outer.rank_one(first, last, n, s, diagonal, problems.output(0, p), streaming);
          });
        }
      });
}

template void logsumexp(const Problems<float>&);
template void logsumexp(const Problems<double>&);
template void logsumexp_gradient(const Problems<float>&);
template void logsumexp_gradient(const Problems<double>&);
template void logsumexp_hessian(const Problems<float>&);
template void logsumexp_hessian(const Problems<double>&);

}  // namespace matgrad::closed_form
