// Jacobian tensors of A x, A B and RᵀR by their factors.
#include <array>
#include <vector>

#include "matgrad/closed_form.h"
#include "plan/scatter.h"

namespace matgrad::closed_form {

namespace {

/// Writes output `which` of all problems, of `size` elements each.
template <class T, class CoresOf>
void scatter_output(const Problems<T>& problems, int which, int64_t size, const CoresOf& cores_of) {
  scatter<T>(problems.count, size, cores_of, [&](int64_t problem) { return problems.output(which, problem); });
}

template <class T>
using Core = kernels::Scattered<T>;

}  // namespace

/// ∂(A x)[i]/∂A[k,l] = δ[i,k] x[l].
template <class T>
void matvec_jacobian(const Problems<T>& problems) {
  const int64_t m = problems.sizes[0], n = problems.sizes[1];
  scatter_output(problems, 0, m * m * n, [&](int64_t problem) {
    return std::array{Core<T>{problems.input(1, problem), 1, 0, 2, {{m, m * n + n, 0}, {n, 1, 1}}}};
  });
}

/// ∂(AB)[i,j]/∂A[p,q] = δ[i,p] B[q,j]; ∂(AB)[i,j]/∂B[p,q] = A[i,p] δ[j,q].
template <class T>
void matmul_jacobian(const Problems<T>& problems) {
  const int64_t m = problems.sizes[0], k = problems.sizes[1], n = problems.sizes[2];
  const int64_t lda = problems.in[0].row_stride, ldb = problems.in[1].row_stride;
  std::vector<T> transposed(size_t(problems.count * n * k));  // neighbours in the result become neighbours in memory
  for (int64_t problem = 0; problem < problems.count; ++problem) {
    const T* B = problems.input(1, problem);
    for (int64_t at = problem * n * k, j = 0; j < n; ++j) {
      for (int64_t q = 0; q < k; ++q) transposed[size_t(at++)] = B[q * ldb + j];
    }
  }
  scatter_output(problems, 0, m * n * m * k, [&](int64_t problem) {
    const T* columns = transposed.data() + problem * n * k;
    return std::array{Core<T>{columns, 1, 0, 3, {{m, n * m * k + k, 0}, {n, m * k, k}, {k, 1, 1}}}};
  });
  scatter_output(problems, 1, m * n * k * n, [&](int64_t problem) {
    return std::array{
        Core<T>{problems.input(0, problem), 1, 0, 3, {{m, n * k * n, lda}, {n, k * n + 1, 0}, {k, n, 1}}}};
  });
}

/// ∂(RᵀR)[p,q]/∂R[i,j] = δ[j,p] R[i,q] + δ[j,q] R[i,p].
template <class T>
void gram_jacobian(const Problems<T>& problems) {
  const int64_t m = problems.sizes[0], n = problems.sizes[1], ldr = problems.in[0].row_stride;
  scatter_output(problems, 0, n * n * m * n, [&](int64_t problem) {
    const T* R = problems.input(0, problem);
    return std::array{Core<T>{R, 1, 0, 3, {{n, n * m * n + 1, 0}, {n, m * n, 1}, {m, n, ldr}}},
                      Core<T>{R, 1, 0, 3, {{n, n * m * n, 1}, {n, m * n + 1, 0}, {m, n, ldr}}}};
  });
}

template void matvec_jacobian(const Problems<float>&);
template void matvec_jacobian(const Problems<double>&);
template void matmul_jacobian(const Problems<float>&);
template void matmul_jacobian(const Problems<double>&);
template void gram_jacobian(const Problems<float>&);
template void gram_jacobian(const Problems<double>&);

}  // namespace matgrad::closed_form
