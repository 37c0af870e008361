// The exponential of a matrix by scaling and squaring: e^A = (e^(A/2^s))^(2^s), where the norm of A/2^s is so small
// that a Padé approximant is exact to rounding. Source: N. Higham, SIAM J. Matrix Anal. Appl. 26 (2005), algorithm 2.3.
#include "plan/exponential.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "plan/dense.h"
#include "plan/lapack.h"
#include "plan/scratch.h"

namespace matgrad::plan {
namespace {

/// The approximant of a degree: the largest 1-norm that it is exact for, and the coefficients of its numerator; those
/// of its denominator have alternating signs.
struct Approximant {
  int degree;
  double double_norm, single_norm;
  std::array<double, 14> coefficients;
};

constexpr Approximant kApproximants[] = {
    {3, 1.495585217958292e-2, 4.258730016922831e-1, {120, 60, 12, 1}},
    {5, 2.539398330063230e-1, 1.880152677804762, {30240, 15120, 3360, 420, 30, 1}},
    {7, 9.504178996162932e-1, 3.925724783138660, {17297280, 8648640, 1995840, 277200, 25200, 1512, 56, 1}},
    {9, 2.097847961257068, 0, {17643225600, 8821612800, 2075673600, 302702400, 30270240, 2162160, 110880, 3960, 90, 1}},
    {13,
     5.371920351148152,
     0,
     {64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000, 10559470521600,
      670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1}},
};

/// The highest degree that pays.
template <class T>
constexpr int kLastDegree = sizeof(T) == 4 ? 7 : 13;

template <class T>
double norm_limit(const Approximant& approximant) {
  return sizeof(T) == 4 ? approximant.single_norm : approximant.double_norm;
}

/// The largest sum of absolute values of a column, which here stands along a row: eᴬ is the same either way.
template <class T>
double norm(int64_t n, const T* A) {
  double largest = 0;
  for (int64_t i = 0; i < n; ++i) {
    double sum = 0;
    for (int64_t j = 0; j < n; ++j) sum += std::abs(double(A[i * n + j]));
    largest = sum > largest || std::isnan(sum) ? sum : largest;
  }
  return largest;
}

/// Square matrices of a size, and what is made of them.
template <class T>
class Matrices {
 public:
  explicit Matrices(int64_t n) : n_(n) {}

  /// C = A B.
  void product(const T* A, const T* B, T* C) const {
    const Strided<T> left{const_cast<T*>(A), n_, 1}, right{const_cast<T*>(B), n_, 1}, result{C, n_, 1};
    multiply<T>(n_, n_, n_, 1, left, right, false, result);
  }
  /// Z += c X.
  void add(double c, const T* X, T* Z) const {
    for (int64_t k = 0; k < n_ * n_; ++k) Z[k] += T(c) * X[k];
  }
  /// Z = c I.
  void identity(double c, T* Z) const {
    std::fill_n(Z, n_ * n_, T(0));
    for (int64_t k = 0; k < n_; ++k) Z[k * n_ + k] = T(c);
  }

 private:
  int64_t n_;
};

/// The even and the odd part of the numerator's polynomial in A: V = Σ b[2i] A^2i and U = A Σ b[2i+1] A^2i.
/// `memory` has room for five matrices.
template <class T>
void evaluate(const Approximant& approximant, int64_t n, const T* A, T* U, T* V, T* memory) {
  const Matrices<T> matrices(n);
  const auto& b = approximant.coefficients;
  T *odd = memory, *powers[4];
  for (int64_t k = 0; k < 4; ++k) powers[k] = memory + (k + 1) * n * n;
  const int count = std::min(approximant.degree / 2, approximant.degree == 13 ? 3 : 4);
  matrices.product(A, A, powers[0]);
  for (int k = 1; k < count; ++k) matrices.product(powers[k - 1], powers[0], powers[k]);
  if (approximant.degree == 13) {  // the upper half of the polynomials is A⁶ times another
    T* const upper = powers[3];
    matrices.identity(0, upper);
    for (int k = 0; k < 3; ++k) matrices.add(b[size_t(2 * k + 9)], powers[k], upper);
    matrices.product(powers[2], upper, odd);
    matrices.identity(0, upper);
    for (int k = 0; k < 3; ++k) matrices.add(b[size_t(2 * k + 8)], powers[k], upper);
    matrices.product(powers[2], upper, V);
  } else {
    matrices.identity(0, odd);
    matrices.identity(0, V);
  }
  for (int64_t k = 0; k < n; ++k) {
    odd[k * n + k] += T(b[1]);
    V[k * n + k] += T(b[0]);
  }
  for (int k = 0; k < count; ++k) {
    matrices.add(b[size_t(2 * k + 3)], powers[k], odd);
    matrices.add(b[size_t(2 * k + 2)], powers[k], V);
  }
  matrices.product(A, odd, U);
}

}  // namespace

template <class T>
void exponential(int64_t n, T* A) {
  const int64_t size = n * n;
  const double norm_of_A = norm(n, A);
  if (!std::isfinite(norm_of_A)) {
    std::fill_n(A, size, std::numeric_limits<T>::quiet_NaN());
    return;
  }
  const Approximant* approximant = kApproximants;
  while (approximant->degree < kLastDegree<T> && norm_of_A > norm_limit<T>(*approximant)) ++approximant;
  int squarings = 0;
  if (norm_of_A > norm_limit<T>(*approximant)) {
    std::frexp(norm_of_A / norm_limit<T>(*approximant), &squarings);
    for (int64_t k = 0; k < size; ++k) A[k] = std::ldexp(A[k], -squarings);
  }
  static thread_local Scratch scratch;
  T* const memory = scratch.get<T>(size_t(7 * size));
  T *U = memory, *V = memory + size;
  evaluate(*approximant, n, A, U, V, memory + 2 * size);
  // (V − U) X = V + U; LAPACK solves for the transposes, which commute.
  for (int64_t k = 0; k < size; ++k) {
    const T u = U[k], v = V[k];
    U[k] = v - u;
    V[k] = v + u;
  }
  static thread_local Scratch integers;
  int* const pivots = integers.get<int>(size_t(n));
  int order = int(n), info = 0;
  char trans = 'N';
  lapack<T>.getrf(&order, &order, U, &order, pivots, &info);
  lapack<T>.getrs(&trans, &order, &order, U, &order, pivots, V, &order, &info);
  T* other = U;
  for (int k = 0; k < squarings; ++k) {
    Matrices<T>(n).product(V, V, other);
    std::swap(V, other);
  }
  std::copy_n(V, size, A);
}

template void exponential(int64_t, float*);
template void exponential(int64_t, double*);

}  // namespace matgrad::plan
