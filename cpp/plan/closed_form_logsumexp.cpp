// Log-sum-exp, its gradient (softmax) and its Hessian.
#include "kernels/dispatch.h"
#include "matgrad/closed_form.h"
#include "plan/chunks.h"
#include "plan/logsumexp.h"
#include "plan/scratch.h"

namespace matgrad::closed_form {

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
