// Factorizations, determinants, solutions of linear systems and inverses. LAPACK sees the transposes of matrices in C
// order.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/dispatch.h"
#include "plan/cholesky.h"
#include "plan/lapack.h"
#include "plan/matrices.h"
#include "plan/rows.h"
#include "plan/run.h"
#include "plan/scratch.h"

namespace matgrad::plan {
namespace {

/// A product as mantissa · 2^exponent, whose product neither overflows nor underflows on the way.
template <class T>
struct ScaledProduct {
  T mantissa = 1;
  int64_t exponent = 0;

  void multiply(T x) {
    int shift = 0, carry = 0;
    mantissa = std::frexp(mantissa * std::frexp(x, &shift), &carry);
    exponent += shift + carry;
  }
  T value() const {
    constexpr int64_t kLimit = 1 << 14;
    return std::ldexp(mantissa, int(std::clamp(exponent, -kLimit, kLimit)));
  }
};

/// The largest matrices with which LAPACK takes longer to wake its threads than to solve.
constexpr int64_t kLargestSubstituted = 32;

/// The smallest matrices whose inverses LAPACK's functions for that make faster than solving for the identity.
constexpr int64_t kLeastInverted = 192;

/// One matrix of a stack and its factorization. The first pivot is 0 where that is Cholesky's.
template <class T>
struct Factorized {
  T* matrix;
  int* pivots;

  Factorized(T* matrices, T* pivots, int64_t p, int64_t n)
      : matrix(matrices + p * n * n), pivots(reinterpret_cast<int*>(pivots) + p * n) {
    static_assert(sizeof(int) <= sizeof(T), "a pivot takes the place of an element");
  }
  bool is_cholesky() const { return pivots[0] == 0; }
};

char lower = 'L';

/// Whether a matrix may have a Cholesky factorization: it equals its transpose, and its diagonal is positive.
template <class T>
bool may_be_positive_definite(int64_t n, const T* matrix) {
  for (int64_t i = 0; i < n; ++i) {
    if (!(matrix[i * n + i] > 0)) return false;
  }
  for (int64_t block = 0; block < n; block += kTile) {
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = block; j < std::min(i, block + kTile); ++j) {
        if (matrix[i * n + j] != matrix[j * n + i]) return false;
      }
    }
  }
  return true;
}

/// Tries Cholesky's factorization; if there is none the matrix stays as it is.
template <class T>
bool factorize_symmetric(int64_t n, T* matrix) {
  if (!may_be_positive_definite(n, matrix)) return false;
  static thread_local Scratch scratch;
  T* const copy = scratch.get<T>(size_t(n * n));
  std::copy_n(matrix, n * n, copy);
  if (cholesky(n, matrix)) return true;
  std::copy_n(copy, n * n, matrix);
  return false;
}

/// Throws if one of the matrices is singular.
template <class T>
void require_regular(int64_t count, int64_t n, T* matrices) {
  for (int64_t p = 0; p < count; ++p, matrices += n * n) {
    for (int64_t k = 0; k < n; ++k) {
      if (matrices[k * n + k] == 0) throw LinalgError("Singular matrix");
    }
  }
}

/// Solves M x = b, or Mᵀ x = b, in place, where M = P L U, or L Lᵀ, in column order as LAPACK leaves it.
template <class T>
void substitute(const Factorized<T>& factorized, bool transposed, int64_t n, T* x) {
  const auto& table = kernels::table<T>();
  const T* M = factorized.matrix;
  const int* pivots = factorized.pivots;
  auto subtract = [&](int64_t count, T factor, const T* column, T* from) {
    table.arithmetic.combine(count, T(1), from, 1, -factor, column, 1, from);
  };
  auto product_below = [&](int64_t k) { return table.reduce.dot(n - 1 - k, M + k * n + k + 1, x + k + 1); };
  if (factorized.is_cholesky()) {
    for (int64_t k = 0; k < n; ++k) subtract(n - 1 - k, x[k] /= M[k * n + k], M + k * n + k + 1, x + k + 1);
    for (int64_t k = n; k-- > 0;) x[k] = (x[k] - product_below(k)) / M[k * n + k];
  } else if (transposed) {
    for (int64_t k = 0; k < n; ++k) x[k] = (x[k] - table.reduce.dot(k, M + k * n, x)) / M[k * n + k];
    for (int64_t k = n - 1; k-- > 0;) x[k] -= product_below(k);
    for (int64_t k = n; k-- > 0;) std::swap(x[k], x[pivots[k] - 1]);
  } else {
    for (int64_t k = 0; k < n; ++k) std::swap(x[k], x[pivots[k] - 1]);
    for (int64_t k = 0; k + 1 < n; ++k) subtract(n - 1 - k, x[k], M + k * n + k + 1, x + k + 1);
    for (int64_t k = n; k-- > 0;) subtract(k, x[k] /= M[k * n + k], M + k * n, x);
  }
}

/// Solves A x = b, or Aᵀ x = b, in place for `columns` right-hand sides.
template <class T>
void solve(const Factorized<T>& factorized, bool transposed, int64_t n, int64_t columns, T* x) {
  if (n <= kLargestSubstituted) {
    for (int64_t k = 0; k < columns; ++k) substitute(factorized, !transposed, n, x + k * n);
    return;
  }
  int order = int(n), count = int(columns), info = 0;
  char trans = transposed ? 'N' : 'T';
  if (factorized.is_cholesky()) {
    lapack<T>.potrs(&lower, &order, &count, factorized.matrix, &order, x, &order, &info);
  } else {
    lapack<T>.getrs(&trans, &order, &count, factorized.matrix, &order, factorized.pivots, x, &order, &info);
  }
}

template <class T>
void invert(const Factorized<T>& factorized, int64_t n, T* inverse) {
  if (factorized.is_cholesky() && n > kLargestSubstituted) return invert_cholesky(n, factorized.matrix, inverse);
  if (n < kLeastInverted) {
    std::fill_n(inverse, n * n, T(0));
    for (int64_t k = 0; k < n; ++k) inverse[k * n + k] = 1;
    return solve(factorized, true, n, n, inverse);
  }
  std::copy_n(factorized.matrix, n * n, inverse);
  constexpr int kBlock = 64;  // what LAPACK asks for
  static thread_local Scratch scratch;
  int order = int(n), info = 0, work_size = order * kBlock;
  lapack<T>.getri(&order, inverse, &order, factorized.pivots, scratch.get<T>(size_t(work_size)), &work_size, &info);
}

}  // namespace

template <class T>
void run(const Factorize& step, const Pointers<T>& at) {
  if (step.n == 0) return;
  for_each_matrix(step.count, step.n, [&](int64_t p) {
    const Factorized<T> result(at[0], at[1], p, step.n);
    int n = int(step.n), info = 0;
    if (factorize_symmetric(step.n, result.matrix)) {
      result.pivots[0] = 0;
    } else {
      lapack<T>.getrf(&n, &n, result.matrix, &n, result.pivots, &info);
    }
  });
}

template <class T>
void run(const Determinant& step, const Pointers<T>& at) {
  for (int64_t p = 0; p < step.count; ++p) {
    const Factorized<T> factorized(at[1], at[2], p, step.n);
    const bool is_cholesky = step.n > 0 && factorized.is_cholesky();
    ScaledProduct<T> product;
    T sum_of_logarithms = 0, sign = 1;
    for (int64_t k = 0; k < step.n; ++k) {
      const T u = factorized.matrix[k * step.n + k];
      product.multiply(u);
      sum_of_logarithms += std::log(std::abs(u));
      if (is_cholesky) {
        product.multiply(u);
        continue;
      }
      if (factorized.pivots[k] != k + 1) sign = -sign;
      sign *= u > 0 ? T(1) : u < 0 ? T(-1) : u;  // zero and NaN stay
    }
    if (is_cholesky) sum_of_logarithms *= 2;
    T& result = at[0][p];
    switch (step.op) {
      case expr::LinalgOp::Det:
        result = std::abs(product.value()) * sign;
        break;
      case expr::LinalgOp::LogDet:
        result = sign < 0 ? std::numeric_limits<T>::quiet_NaN() : sum_of_logarithms;
        break;
      case expr::LinalgOp::LogAbsDet:
        result = sum_of_logarithms;
        break;
      default:
        result = sign;
    }
  }
}

template <class T>
void run(const Solve& step, const Pointers<T>& at) {
  if (step.n == 0 || step.columns == 0) return;
  require_regular(step.count, step.n, at[1]);
  for_each_matrix(step.count, step.n, [&](int64_t p) {
    solve({at[1], at[2], p, step.n}, step.transposed, step.n, step.columns, at[0] + p * step.n * step.columns);
  });
}

template <class T>
void run(const Invert& step, const Pointers<T>& at) {
  if (step.n == 0) return;
  require_regular(step.count, step.n, at[1]);
  for_each_matrix(step.count, step.n,
                  [&](int64_t p) { invert({at[1], at[2], p, step.n}, step.n, at[0] + p * step.n * step.n); });
}

template void run(const Factorize&, const Pointers<float>&);
template void run(const Factorize&, const Pointers<double>&);
template void run(const Determinant&, const Pointers<float>&);
template void run(const Determinant&, const Pointers<double>&);
template void run(const Solve&, const Pointers<float>&);
template void run(const Solve&, const Pointers<double>&);
template void run(const Invert&, const Pointers<float>&);
template void run(const Invert&, const Pointers<double>&);

}  // namespace matgrad::plan
