// Determinants and solutions of linear systems. LAPACK sees the transposes of matrices in C order.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/dispatch.h"
#include "plan/chunks.h"
#include "plan/lapack.h"
#include "plan/run.h"

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

/// The largest matrices of a stack whose factorization is dealt to threads; LAPACK has its own for larger ones.
constexpr int64_t kLargestDealt = 128;
/// The largest matrices with which LAPACK takes longer to wake its threads than to solve.
constexpr int64_t kLargestSubstituted = 32;

/// Solves M x = b, or Mᵀ x = b, in place, where M = P L U in column order as LAPACK leaves it.
template <class T>
void substitute(int64_t n, const T* lu, const int* pivots, bool transposed, T* x) {
  const auto& table = kernels::table<T>();
  auto subtract = [&](int64_t count, T factor, const T* column, T* from) {
    table.arithmetic.combine(count, T(1), from, 1, -factor, column, 1, from);
  };
  if (transposed) {
    for (int64_t k = 0; k < n; ++k) x[k] = (x[k] - table.reduce.dot(k, lu + k * n, x)) / lu[k * n + k];
    for (int64_t k = n - 1; k-- > 0;) x[k] -= table.reduce.dot(n - 1 - k, lu + k * n + k + 1, x + k + 1);
    for (int64_t k = n; k-- > 0;) std::swap(x[k], x[pivots[k] - 1]);
  } else {
    for (int64_t k = 0; k < n; ++k) std::swap(x[k], x[pivots[k] - 1]);
    for (int64_t k = 0; k + 1 < n; ++k) subtract(n - 1 - k, x[k], lu + k * n + k + 1, x + k + 1);
    for (int64_t k = n; k-- > 0;) subtract(k, x[k] /= lu[k * n + k], lu + k * n, x);
  }
}

}  // namespace

template <class T>
void run(const Factorize& step, const Pointers<T>& at) {
  static_assert(sizeof(int) <= sizeof(T), "a pivot takes the place of an element");
  T* matrices = at[0];
  int* pivots = reinterpret_cast<int*>(at[1]);
  int n = int(step.n);
  if (n == 0) return;
  const int64_t grain = step.n > kLargestDealt ? step.count : problems_per_chunk(step.n * step.n * step.n);
  threads::parallel_ranges(step.count, grain, [&](int64_t first, int64_t last) {
    for (int64_t k = first; k < last; ++k) {
      int info = 0;
      lapack<T>.getrf(&n, &n, matrices + k * step.n * step.n, &n, pivots + k * step.n, &info);
    }
  });
}

template <class T>
void run(const Determinant& step, const Pointers<T>& at) {
  T* results = at[0];
  const T* matrices = at[1];
  const int* pivots = reinterpret_cast<const int*>(at[2]);
  for (int64_t p = 0; p < step.count; ++p, matrices += step.n * step.n, pivots += step.n) {
    ScaledProduct<T> product;
    T sum_of_logarithms = 0, sign = 1;
    for (int64_t k = 0; k < step.n; ++k) {
      const T u = matrices[k * step.n + k];
      if (pivots[k] != k + 1) sign = -sign;
      product.multiply(u);
      sign *= u > 0 ? T(1) : u < 0 ? T(-1) : u;  // zero and NaN stay
      sum_of_logarithms += std::log(std::abs(u));
    }
    T& result = results[p];
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
  T *solutions = at[0], *matrices = at[1];
  int* pivots = reinterpret_cast<int*>(at[2]);
  int n = int(step.n), columns = int(step.columns), info = 0;
  char trans = step.transposed ? 'N' : 'T';
  if (n == 0 || columns == 0) return;
  for (int64_t k = 0; k < step.count * step.n; ++k) {
    if (matrices[k * step.n + k % step.n] == 0) throw SingularMatrix();
  }
  auto solve = [&](int64_t first, int64_t last) {
    for (int64_t k = first; k < last; ++k) {
      T* x = solutions + k * step.n;
      if (step.identity) {
        std::fill_n(x, step.n, T(0));
        x[k % step.columns] = 1;
      }
      if (n > kLargestSubstituted) continue;
      const int64_t p = k / step.columns;
      substitute(step.n, matrices + p * step.n * step.n, pivots + p * step.n, !step.transposed, x);
    }
  };
  threads::parallel_ranges(step.count * step.columns, problems_per_chunk(step.n * step.n), solve);
  if (n <= kLargestSubstituted) return;
  for (int64_t p = 0; p < step.count; ++p) {
    lapack<T>.getrs(&trans, &n, &columns, matrices + p * step.n * step.n, &n, pivots + p * step.n,
                    solutions + p * step.n * step.columns, &n, &info);
  }
}

template void run(const Factorize&, const Pointers<float>&);
template void run(const Factorize&, const Pointers<double>&);
template void run(const Determinant&, const Pointers<float>&);
template void run(const Determinant&, const Pointers<double>&);
template void run(const Solve&, const Pointers<float>&);
template void run(const Solve&, const Pointers<double>&);

}  // namespace matgrad::plan
