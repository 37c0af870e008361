// Values of special functions: those that are supplied from outside, and those that are computed here.
#include "expr/special.h"

#include <cmath>
#include <limits>
#include <vector>

namespace matgrad::expr {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// By the rows of the table of operations.
std::vector<Supplied>& all_supplied() {
  static std::vector<Supplied> values(ops().size(), Supplied{nullptr});
  return values;
}

size_t row_of(const Op& op) {
  return size_t(&op - ops().data());
}

}  // namespace

void supply(const Op& op, Supplied value) {
  all_supplied()[row_of(op)] = value;
}

Supplied supplied(const Op& op) {
  return all_supplied()[row_of(op)];
}

// Euler–Maclaurin: the terms up to q + k = w > 9 one by one, and of the rest
// w^(1−s)/(s − 1) − w^−s/2 + Σ B₂ⱼ/(2j)! s (s + 1) … (s + 2j − 2) w^(1−s−2j), B being Bernoulli's numbers. Here the sum
// up to k has the term w^−s, half of which is taken off again. Source: DLMF 25.11.28; as in Cephes.
double hurwitz_zeta(double s, double q) {
  static constexpr double kFactors[] = {
      // (2j)! / B₂ⱼ
      12.0,
      -720.0,
      30240.0,
      -1209600.0,
      47900160.0,
      -1307674368000.0 / 691,
      74724249600.0,
      -10670622842880000.0 / 3617,
      5109094217170944000.0 / 43867,
      -802857662698291200000.0 / 174611,
  };
  constexpr double kEpsilon = std::numeric_limits<double>::epsilon() / 2;
  if (s == 1) return kInfinity;
  if (s < 1) return kNaN;
  if (q <= 0 && q == std::floor(q)) return kInfinity;
  if (q <= 0 && s != std::floor(s)) return kNaN;
  if (q > 1e8) return (1 / (s - 1) + 0.5 / q) * std::pow(q, 1 - s);
  double w = q, term = std::pow(w, -s), sum = term;
  for (int k = 0; k < 9 || w <= 9; ++k) {
    w += 1;
    term = std::pow(w, -s);
    sum += term;
    if (std::abs(term) < kEpsilon * std::abs(sum)) return sum;
  }
  sum += term * w / (s - 1) - 0.5 * term;
  double product = 1, k = 0;
  for (double factor : kFactors) {
    product *= s + k;
    term /= w;
    const double next = product * term / factor;
    sum += next;
    if (std::abs(next) < kEpsilon * std::abs(sum)) break;
    product *= s + k + 1;
    term /= w;
    k += 2;
  }
  return sum;
}

// ψ⁽ⁿ⁾(x) = (−1)^(n+1) n! ζ(n + 1, x); DLMF 25.11.12.
double polygamma(double n, double x) {
  if (!(n >= 1) || n != std::floor(n)) return kNaN;
  return (std::fmod(n, 2) == 0 ? -1 : 1) * std::tgamma(n + 1) * hurwitz_zeta(n + 1, x);
}

}  // namespace matgrad::expr
