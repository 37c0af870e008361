// Determinants and solutions of linear systems. LAPACK sees the transposes of matrices in C order.
#include <algorithm>
#include <cmath>
#include <limits>

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

}  // namespace

template <class T>
void run(const Factorize& step, const Pointers<T>& at) {
  static_assert(sizeof(int) <= sizeof(T), "a pivot takes the place of an element");
  T* matrices = at[0];
  int* pivots = reinterpret_cast<int*>(at[1]);
  int n = int(step.n);
  if (n == 0) return;
  for (int64_t k = 0; k < step.count; ++k) {
    int info = 0;
    lapack<T>.getrf(&n, &n, matrices + k * step.n * step.n, &n, pivots + k * step.n, &info);
  }
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
  T* x = at[0];
  T* matrices = at[1];
  int* pivots = reinterpret_cast<int*>(at[2]);
  int n = int(step.n), columns = int(step.columns), info = 0;
  char trans = step.transposed ? 'N' : 'T';
  if (n == 0 || columns == 0) return;
  for (int64_t p = 0; p < step.count; ++p, x += step.n * step.columns, matrices += step.n * step.n, pivots += step.n) {
    for (int64_t k = 0; k < step.n; ++k) {
      if (matrices[k * step.n + k] == 0) throw SingularMatrix();
    }
    if (step.identity) {
      std::fill_n(x, step.n * step.n, T(0));
      for (int64_t k = 0; k < step.n; ++k) x[k * step.n + k] = 1;
    }
    lapack<T>.getrs(&trans, &n, &columns, matrices, &n, pivots, x, &n, &info);
  }
}

template void run(const Factorize&, const Pointers<float>&);
template void run(const Factorize&, const Pointers<double>&);
template void run(const Determinant&, const Pointers<float>&);
template void run(const Determinant&, const Pointers<double>&);
template void run(const Solve&, const Pointers<float>&);
template void run(const Solve&, const Pointers<double>&);

}  // namespace matgrad::plan
