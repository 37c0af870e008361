// Cholesky's factorization A = UᵀU of a symmetric matrix, and the inverse from it, in blocks that are products of
// matrices.
#include "plan/cholesky.h"

#include <algorithm>

#include "kernels/dispatch.h"
#include "plan/dense.h"
#include "plan/lapack.h"
#include "plan/scratch.h"

namespace matgrad::plan {
namespace {

/// Rows and columns of a block.
constexpr int64_t kBlock = 64;

/// V = U⁻¹ for a block of at most kBlock rows; V is zero below its diagonal.
template <class T>
void invert_block(int64_t n, Strided<T> U, Strided<T> V) {
  T sum[kBlock];
  for (int64_t i = n; i-- > 0;) {
    std::fill_n(sum, n, T(0));
    const T *u = U.from(i, i).data, *below = V.from(i + 1, 0).data;
    kernels::table<T>().matvec.combine_rows(n - i - 1, n, below, V.row, u + 1, 1, sum);
    T* v = V.from(i, 0).data;
    for (int64_t j = 0; j < n; ++j) v[j] = (T(i == j) - sum[j]) / *u;
  }
}

}  // namespace

template <class T>
bool cholesky(int64_t n, T* data) {
  const Strided<T> A{data, n, 1};
  static thread_local Scratch scratch;
  T* const memory = scratch.get<T>(size_t(kBlock * (kBlock + n)));
  const Strided<T> V{memory, kBlock, 1}, panel{memory + kBlock * kBlock, n, 1};
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t height = std::min(kBlock, n - i), next = i + height;
    if (i > 0) multiply<T>(height, n - i, i, -1, A.from(0, i).transposed(), A.from(0, i), true, A.from(i, i));
    // LAPACK sees the transpose.
    char triangle = 'L';
    int order = int(height), ld = int(n), info = 0;
    lapack<T>.potrf(&triangle, &order, A.from(i, i).data, &ld, &info);
    if (info != 0) return false;
    if (next == n) break;
    invert_block(height, A.from(i, i), V);
    for (int64_t r = 0; r < height; ++r) std::copy_n(A.from(i + r, next).data, n - next, panel.from(r, 0).data);
    multiply<T>(height, n - next, height, 1, V.transposed(), panel, false, A.from(i, next));
  }
  return true;
}

template <class T>
void invert_cholesky(int64_t n, const T* factor, T* inverse) {
  const Strided<T> U{const_cast<T*>(factor), n, 1}, result{inverse, n, 1};
  static thread_local Scratch scratch;
  T* const memory = scratch.get<T>(size_t((n + kBlock) * n));
  const Strided<T> X{memory, n, 1}, panel{memory + n * n, n, 1};  // X = U⁻¹ on and above the diagonal's blocks
  for (int64_t i = (n - 1) / kBlock * kBlock; i >= 0; i -= kBlock) {
    const int64_t height = std::min(kBlock, n - i), next = i + height;
    invert_block(height, U.from(i, i), X.from(i, i));
    for (int64_t j = next; j < n; j += kBlock) {
      const int64_t width = std::min(kBlock, n - j);
      multiply<T>(height, width, j + width - next, 1, U.from(i, next), X.from(next, j), false, panel.from(0, j));
    }
    multiply<T>(height, n - next, height, -1, X.from(i, i), panel.from(0, next), false, X.from(i, next));
  }
  // A⁻¹ = X Xᵀ.
  for (int64_t j = 0; j < n; j += kBlock) {
    const int64_t width = std::min(kBlock, n - j);
    multiply<T>(j + width, width, n - j, 1, X.from(0, j), X.from(j, j).transposed(), false, result.from(0, j));
  }
  run<T>(Mirror{.n = n, .ld = n}, {inverse});
}

template bool cholesky(int64_t, float*);
template bool cholesky(int64_t, double*);
template void invert_cholesky(int64_t, const float*, float*);
template void invert_cholesky(int64_t, const double*, double*);

}  // namespace matgrad::plan
