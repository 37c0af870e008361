// Powers of every lane: |x|^y = 2^(y log₂ |x|), the exponent as an unevaluated sum, since its error is multiplied by y.
#pragma once

#include "kernels/math-exp-inl.h"
#include "kernels/math-log-inl.h"
#include "kernels/math-round-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

/// a·b exactly, underflow aside (Dekker 1971, where no fused multiply-add gives the rounding error).
MATGRAD_INLINE Pair<double> product(Vec<double> a, Vec<double> b) {
  Vec<double> high = a * b;
  if constexpr (kFusedMultiplyAdd) {
    return {high, fma<double>(a, b, -high)};
  } else {
    Vec<double> a1 = high_half<double>(a), a2 = a - a1, b1 = high_half<double>(b), b2 = b - b1;
    return {high, ((a1 * b1 - high) + a1 * b2 + a2 * b1) + a2 * b2};
  }
}

MATGRAD_INLINE Pair<double> product(Pair<double> a, Pair<double> b) {
  auto [high, low] = product(a.high, b.high);
  return ordered_sum<double>(high, low + (a.high * b.low + a.low * b.high));
}

/// log₂ x = k + log₂ c + 2/log(2) artanh(s) with s = (m − c)/(m + c), x = 2ᵏ m and c the nearest of ¾, 1, 1¼, so that
/// |s| < 0.072; relative error about 2^−66, for positive finite x.
MATGRAD_INLINE Pair<double> log2_pair(Vec<double> x) {
  using V = Vec<double>;
  // artanh(s)/s = 1 + s²/3 + s⁴ (1/5 + s²/7 + …)
  static constexpr double kSeries[] = {1.0 / 5, 1.0 / 7, 1.0 / 9, 1.0 / 11, 1.0 / 13, 1.0 / 15, 1.0 / 17};
  constexpr double kThird = 1.0 / 3, kThirdLow = 0x1.5555555555555p-56;
  constexpr double kLog2Of3Over4 = -0x1.a8ff97181p-2, kLog2Of3Over4Low = -0x1.4bc302ffa76fbp-43;
  constexpr double kLog2Of5Over4 = 0x1.49a784bcd2p-2, kLog2Of5Over4Low = -0x1.1d406db502403p-44;
  constexpr double kTwiceLog2E = 0x1.71547652b82fep+1, kTwiceLog2ELow = 0x1.777d0ffda0d24p-55;
  auto [k, m, biased] = split<double>(x);
  Mask<double> low = m < 0.8660254037844386, high = m > 1.118033988749895;
  auto by_c = [&](double below, double one, double above) {
    return select<double>(low, broadcast(below), select<double>(high, broadcast(above), broadcast(one)));
  };
  V c = by_c(0.75, 1, 1.25), difference = m - c;  // exact
  auto [divisor, divisor_low] = sum<double>(m, c);
  V quotient = difference / divisor;
  auto [back, back_low] = product(quotient, divisor);
  Pair<double> s{quotient, (((difference - back) - back_low) - quotient * divisor_low) / divisor};
  auto [z, z_low] = product(s.high, s.high);
  z_low += 2 * s.high * s.low;
  auto [t, t_low] = product(z, broadcast(kThird));
  t_low += z * kThirdLow + z_low * kThird + z * z * polynomial<double>(z, kSeries);
  auto [u, u_low] = ordered_sum<double>(broadcast(1.0), t);
  Pair<double> series = ordered_sum<double>(u, u_low + t_low);
  Pair<double> log = product(product(s, {broadcast(kTwiceLog2E), broadcast(kTwiceLog2ELow)}), series);
  // The high parts of log₂ ¾ and log₂ 1¼ are short, so that adding k is exact.
  auto [leading, error] = ordered_sum<double>(k + by_c(kLog2Of3Over4, 0, kLog2Of5Over4), log.high);
  return ordered_sum<double>(leading, error + (log.low + by_c(kLog2Of3Over4Low, 0, kLog2Of5Over4Low)));
}

/// |x|^y, but for y = 0 and |x| = 1.
MATGRAD_INLINE Vec<double> power_of_magnitude(Vec<double> magnitude, Vec<double> y) {
  using V = Vec<double>;
  constexpr double kLog2 = 0x1.62e42fefa39efp-1, kLog2Low = 0x1.abc9e3b39803fp-56, kLimit = 1100;
  auto [log, log_low] = log2_pair(magnitude);
  auto [exponent, exponent_low] = product(log_special_values<double>(magnitude, log), y);
  Mask<double> inside = abs<double>(exponent) < kLimit;
  exponent_low = select<double>(inside, exponent_low + log_low * y, V{});
  exponent = clamp<double>(exponent, -kLimit, kLimit);
  Integer<double> n = nearest_integer<double>(exponent, 1);
  Pair<double> fraction = ordered_sum<double>(exponent - n.value, exponent_low);
  auto [r, r_low] = product(fraction, {broadcast(kLog2), broadcast(kLog2Low)});
  return scale<double>(exp_series<double>(r, r_low) + r + 1.0, n);
}

/// A float's power needs no more than double's own precision.
MATGRAD_INLINE Vec<float> power_of_magnitude(Vec<float> magnitude, Vec<float> y) {
  auto [x1, x2] = widen(magnitude);
  auto [y1, y2] = widen(y);
  return narrow(exp2<double>(log2<double>(x1) * y1), exp2<double>(log2<double>(x2) * y2));
}

/// x^y with the special values of IEEE 754's pow.
template <class T>
MATGRAD_INLINE Vec<T> power(Vec<T> x, Vec<T> y) {
  Vec<T> magnitude = abs<T>(x), one = broadcast(T(1)), half = T(0.5) * y;
  Mask<T> integral = rint<T>(y) == y, odd = integral & (rint<T>(half) != half);
  Vec<T> result = select<T>(magnitude == T(1), one, power_of_magnitude(magnitude, y));
  result = (Vec<T>)((Bits<T>)result ^ (sign_bit<T>(x) & (Bits<T>)odd));
  Mask<T> undefined = (x < T(0)) & (magnitude < Format<T>::kInfinity) & ~integral;
  result = select<T>(undefined, broadcast(T(__builtin_nan(""))), result);
  return select<T>((x == T(1)) | (y == T(0)), one, result);
}

/// log(eˣ + eʸ) = max(x, y) + log1p(e^−|x − y|).
template <class T>
MATGRAD_INLINE Vec<T> logaddexp(Vec<T> x, Vec<T> y) {
  Vec<T> distance = select<T>(x == y, Vec<T>{}, abs<T>(x - y));
  return maximum<T>(x, y) + log1p<T>(exp<T>(-distance));
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
