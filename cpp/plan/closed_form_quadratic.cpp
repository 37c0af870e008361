// The quadratic form xᵀA x, its gradient (A + Aᵀ) x and its Hessian A + Aᵀ.
#include "matgrad/closed_form.h"
#include "plan/quadratic.h"

namespace matgrad::closed_form {

namespace {

template <class T>
T quadratic_form_of(int64_t n, const T* A, int64_t lda, const T* x) {
  const auto& kernel = kernels::table<T>().quadratic;
  if (!is_large(n)) return kernel.quadratic_form(0, n, n, A, lda, x);
  const RowChunks chunks(n);
  T partial[kMaxChunks];
  threads::parallel_for(chunks.count, [&](int64_t c) {
    partial[c] = kernel.quadratic_form(chunks.first(c), chunks.last(c), n, A, lda, x);
  });
  T total = 0;
  for (int64_t c = 0; c < chunks.count; ++c) total += partial[c];
  return total;
}

}  // namespace

template <class T>
void quadratic_form(const Problems<T>& problems) {
  const int64_t n = problems.sizes[0], lda = problems.in[0].row_stride;
  auto solve = [&](int64_t p) {
    *problems.output(0, p) = quadratic_form_of(n, problems.input(0, p), lda, problems.input(1, p));
  };
  if (is_large(n)) {
    for (int64_t p = 0; p < problems.count; ++p) solve(p);
  } else {
    for_each_run(problems.count, 1, kChunkElements / std::max<int64_t>(n * n, 1),
                 [&](int64_t p, int64_t, int64_t) { solve(p); });
  }
}

template <class T>
void quadratic_form_gradient(const Problems<T>& problems) {
  const auto &A = problems.in[0], &x = problems.in[1];
  const int64_t n = problems.sizes[0];
  const bool single = problems.stack_shape.empty();
  const int64_t spacing[] = {single ? 0 : A.stack_strides[0], single ? 0 : x.stack_strides[0], n};
  symmetric_products<T>(problems.count, n, A.row_stride, problems.stack_shape.size() <= 1 ? spacing : nullptr,
                        [&](int64_t p) -> MatrixAndVector<T> {
                          return {problems.input(0, p), problems.input(1, p), problems.output(0, p)};
                        });
}

template <class T>
void quadratic_form_hessian(const Problems<T>& problems) {
  const int64_t n = problems.sizes[0];
  symmetric_sums<T>(problems.count, n, 1, problems.in[0].row_stride, n,
                    [&](int64_t p) -> MatrixAndSum<T> { return {problems.input(0, p), problems.output(0, p)}; });
}

template void quadratic_form(const Problems<float>&);
template void quadratic_form(const Problems<double>&);
template void quadratic_form_gradient(const Problems<float>&);
template void quadratic_form_gradient(const Problems<double>&);
template void quadratic_form_hessian(const Problems<float>&);
template void quadratic_form_hessian(const Problems<double>&);

}  // namespace matgrad::closed_form
