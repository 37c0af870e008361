// Exponentials of every lane: eˣ = 2ⁿ eʳ with |r| ≤ log(2)/2, and the hyperbolic functions and sigmoid made of it.
#pragma once

#include "kernels/math-base-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

template <class T>
struct ExpConstants;

template <>
struct ExpConstants<double> {
  static constexpr double kLog2E = 0x1.71547652b82fep+0;
  static constexpr double kMin = -746, kMax = 711;  // beyond them exp is 0, and exp, sinh and cosh are infinite
  static constexpr double kExpm1Min = -40;          // below it expm1 is −1
  // (eʳ − 1 − r)/r² on |r| ≤ log(2)/2; relative error of eʳ − 1: 2^−55.6
  static constexpr double kSeries[] = {0x1.0000000000005p-1,  0x1.555555555555cp-3,  0x1.55555555520f4p-5,
                                       0x1.111111110e6e2p-7,  0x1.6c16c17f375b8p-10, 0x1.a01a01b5d33eap-13,
                                       0x1.a019a6861a8afp-16, 0x1.71ddea10fdbc4p-19, 0x1.28a2ab3d35faep-22,
                                       0x1.af769903dcd68p-26};
};

template <>
struct ExpConstants<float> {
  static constexpr float kLog2E = 0x1.715476p+0f;
  static constexpr float kMin = -104, kMax = 90;
  static constexpr float kExpm1Min = -20;
  // relative error 2^−25.9
  static constexpr float kSeries[] = {0x1.000000p-1f, 0x1.5554b0p-3f, 0x1.555486p-5f, 0x1.1227fep-7f, 0x1.6d990cp-10f};
};

/// v·2ⁿ with one rounding, for |n| < 2 kBias; ½ ≤ |v| < 4 where the result is subnormal or overflows.
template <class T>
MATGRAD_INLINE Vec<T> scale(Vec<T> v, const Integer<T>& n) {
#if defined(__AVX512F__)
  // All lanes by mask: GCC 12 warns of an uninitialised variable inside the intrinsics without one.
  if constexpr (sizeof(T) == 8) return (Vec<T>)_mm512_maskz_scalef_pd(__mmask8(-1), (__m512d)v, (__m512d)n.value);
  if constexpr (sizeof(T) == 4) return (Vec<T>)_mm512_maskz_scalef_ps(__mmask16(-1), (__m512)v, (__m512)n.value);
#else
  Bits<T> half = n.biased >> 1, other_half = n.biased - half;
  return v * (Vec<T>)(half << Format<T>::kMantissaBits) * (Vec<T>)(other_half << Format<T>::kMantissaBits);
#endif
}

/// n with x = n log 2 + r, and r as a sum.
template <class T>
struct Reduced {
  Integer<T> n;
  Pair<T> r;
};

template <class T>
MATGRAD_INLINE Reduced<T> reduce(Vec<T> x) {
  using F = Format<T>;
  Integer<T> n = nearest_integer<T>(x, ExpConstants<T>::kLog2E);
  Vec<T> r = fma<T>(n.value, broadcast(-F::kLn2High), x);  // exact
  return {n, ordered_sum<T>(r, n.value * -F::kLn2Low)};
}

/// eʳ − 1 − r + rest.
template <class T>
MATGRAD_INLINE Vec<T> exp_series(Vec<T> r, Vec<T> rest) {
  return fma<T>(r * r, polynomial<T>(r, ExpConstants<T>::kSeries), rest);
}

template <class T>
MATGRAD_INLINE Vec<T> exp(Vec<T> x) {
  auto [n, r] = reduce<T>(clamp<T>(x, ExpConstants<T>::kMin, ExpConstants<T>::kMax));
  return scale<T>(exp_series<T>(r.high, r.high) + T(1), n);  // without r.low, which is worth a quarter ULP
}

/// 2ˣ = 2ⁿ eʳ with r = (x − n) log 2.
template <class T>
MATGRAD_INLINE Vec<T> exp2(Vec<T> x) {
  using F = Format<T>;
  x = clamp<T>(x, -T(F::kBias + F::kMantissaBits + 1), T(F::kBias + 2));
  Integer<T> n = nearest_integer<T>(x, T(1));
  Vec<T> r = (x - n.value) * (F::kLn2High + F::kLn2Low);
  return scale<T>(exp_series<T>(r, r) + T(1), n);
}

/// eˣ as p·2ⁿ, p a sum, for x within the clamp of exp.
template <class T>
struct ExpPair {
  Integer<T> n;
  Pair<T> p;
};

template <class T>
MATGRAD_INLINE ExpPair<T> exp_pair(Vec<T> x) {
  auto [n, r] = reduce<T>(x);
  return {n, ordered_sum<T>(broadcast(T(1)), r.high + exp_series<T>(r.high, r.low))};
}

/// eˣ − 1 = 2ⁿ (1 − 2⁻ⁿ + r + …), the sum from largest to smallest, as p·2ⁿ.
template <class T>
MATGRAD_INLINE ExpPair<T> expm1_pair(Vec<T> x) {
  using F = Format<T>;
  auto [n, r] = reduce<T>(x);
  Vec<T> inverse = select<T>(n.value < T(F::kBias), power_of_two<T>(4 * F::kBias - n.biased), Vec<T>{});
  auto [sum, error] = ordered_sum<T>(T(1) - inverse, r.high);
  return {n, ordered_sum<T>(sum, error + exp_series<T>(r.high, r.low))};
}

template <class T>
MATGRAD_INLINE Vec<T> expm1(Vec<T> x) {
  auto [n, p] = expm1_pair<T>(clamp<T>(x, ExpConstants<T>::kExpm1Min, ExpConstants<T>::kMax));
  return with_sign<T>(scale<T>(p.high, n), x);
}

/// sinh x = (t + t/(t + 1))/2 with t = expm1 |x|.
template <class T>
MATGRAD_INLINE Vec<T> sinh(Vec<T> x) {
  using F = Format<T>;
  Vec<T> magnitude = abs<T>(x);
  auto [n, p] = expm1_pair<T>(clamp<T>(magnitude, T(0), ExpConstants<T>::kMax));
  Integer<T> n1{n.value - T(1), n.biased - 1};
  Vec<T> half = scale<T>(p.high, n1), low = scale<T>(p.low, n1);  // t/2, so that it overflows when sinh does
  Vec<T> t = half + half;
  Vec<T> result = half + (low + T(0.5) * select<T>(t < F::kInfinity, t / (t + T(1)), broadcast(T(1))));
  return with_sign<T>(select<T>(magnitude < F::kEpsilon, magnitude, result), x);
}

/// cosh x = h + 1/(4h) with h = e^|x|/2.
template <class T>
MATGRAD_INLINE Vec<T> cosh(Vec<T> x) {
  auto [n, p] = exp_pair<T>(clamp<T>(abs<T>(x), T(0), ExpConstants<T>::kMax));
  Vec<T> half = scale<T>(p.high, {n.value - T(1), n.biased - 1});
  return half + T(0.25) / half;
}

/// tanh |x| = −t/(t + 2) with t = expm1(−2|x|), the quotient corrected for the rounding of t and t + 2.
template <class T>
MATGRAD_INLINE Vec<T> tanh(Vec<T> x) {
  auto [n, p] = expm1_pair<T>(clamp<T>(T(-2) * abs<T>(x), ExpConstants<T>::kExpm1Min, T(0)));
  Vec<T> power = power_of_two<T>(n.biased);
  Pair<T> t{p.high * power, p.low * power};
  auto [divisor, divisor_low] = ordered_sum<T>(broadcast(T(2)), t.high);
  divisor_low += t.low;
  Vec<T> quotient = T(0) - t.high / divisor;  // +0 for zero
  // 1/divisor = (1 + quotient)/2
  Vec<T> correction = -(t.low + quotient * divisor_low) * (T(0.5) * quotient + T(0.5));
  return with_sign<T>(quotient + correction, x);
}

/// 1/(1 + e⁻ˣ), for negative x as eˣ/(1 + eˣ); both from e^−|x| ≤ 1, and corrected as in tanh.
template <class T>
MATGRAD_INLINE Vec<T> sigmoid(Vec<T> x) {
  using F = Format<T>;
  auto [n, p] = exp_pair<T>(clamp<T>(-abs<T>(x), ExpConstants<T>::kMin, T(0)));
  auto [divisor, divisor_low] = ordered_sum<T>(broadcast(T(1)), scale<T>(p.high, n));
  Mask<T> negative = x < T(0);
  Vec<T> quotient = select<T>(negative, p.high, broadcast(T(1))) / divisor;
  Vec<T> numerator_low = select<T>(negative, p.low, Vec<T>{});
  // 24/17 − 8/17 d is 1/d within 6 % on [1, 2], enough for a correction.
  quotient += (numerator_low - quotient * divisor_low) * (T(24.0 / 17) - T(8.0 / 17) * divisor);
  Integer<T> shift{select<T>(negative, n.value, Vec<T>{}), n.biased};
  shift.biased = (Bits<T>)select<T>(negative, (Vec<T>)n.biased, (Vec<T>)(Bits<T>{} + 2 * F::kBias));
  return scale<T>(quotient, shift);
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
