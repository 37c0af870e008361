// Inverse sine, cosine and tangent of every lane: a multiple of π/4 plus an odd series of a small argument.
#pragma once

#include "kernels/math-base-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

template <class T>
struct ArcConstants;

template <>
struct ArcConstants<double> {
  static constexpr double kPi = 0x1.921fb54442d18p+1, kPiLow = 0x1.1a62633145c07p-53;
  static constexpr double kTanPi8 = 0x1.a827999fcef32p-2, kTan3Pi8 = 0x1.3504f333f9de6p+1;
  // (arctan(t)/t − 1)/t² in powers of t² for |t| ≤ tan(π/8); error of arctan(t)/t: 2^−58.3
  static constexpr double kTangent[] = {-0x1.555555555553dp-2, 0x1.99999999958eep-3,  -0x1.24924922b12d5p-3,
                                        0x1.c71c70e7a693fp-4,  -0x1.745cf90b879d6p-4, 0x1.3b111c6b521e2p-4,
                                        -0x1.10ebdde3fb33bp-4, 0x1.df116b167fc6ep-5,  -0x1.9cdc359444e56p-5,
                                        0x1.37ed6252465edp-5,  -0x1.259d8d327523bp-6};
  // (arcsin(t)/t − 1)/t² in powers of t² for |t| ≤ ½; error of arcsin(t)/t: 2^−55.8
  static constexpr double kSine[] = {0x1.5555555555387p-3, 0x1.333333336f8b6p-4,  0x1.6db6db41d277ep-5,
                                     0x1.f1c72c6da7fc9p-6, 0x1.6e89ef7331ecbp-6,  0x1.1c6c280f47b7ep-6,
                                     0x1.c6f878ac34982p-7, 0x1.8ee4c1a0b61abp-7,  0x1.aab2ecf304e1fp-8,
                                     0x1.40b24c6d12346p-6, -0x1.0af55e8a34d32p-6, 0x1.05ce806463ab3p-5};
};

template <>
struct ArcConstants<float> {
  static constexpr float kPi = 0x1.921fb6p+1f, kPiLow = -0x1.777a5cp-24f;
  static constexpr float kTanPi8 = 0x1.a8279ap-2f, kTan3Pi8 = 0x1.3504f4p+1f;
  // errors 2^−28.8 and 2^−30.1
  static constexpr float kTangent[] = {-0x1.55554ap-2f, 0x1.9991aep-3f, -0x1.23b6bcp-3f, 0x1.b20246p-4f,
                                       -0x1.f256aap-5f};
  static constexpr float kSine[] = {0x1.55554cp-3f, 0x1.33388ep-4f, 0x1.6cac3cp-5f,
                                    0x1.04a656p-5f, 0x1.d7f240p-7f, 0x1.33bbcep-5f};
};

/// eighths·π/8 + t + t³·series(t²), where t is not greater in magnitude than the multiple of π unless that is zero.
template <class T, int N>
MATGRAD_INLINE Vec<T> arc(Vec<T> eighths, Vec<T> t, Vec<T> square, const T (&series)[N]) {
  using C = ArcConstants<T>;
  auto [leading, error] = ordered_sum<T>(eighths * (C::kPi / 8), t);
  return leading + (error + (eighths * (C::kPiLow / 8) + t * square * polynomial<T>(square, series)));
}

/// arctan |x| = π/2 + arctan(−1/|x|) = π/4 + arctan((|x| − 1)/(|x| + 1)).
template <class T>
MATGRAD_INLINE Vec<T> arctan(Vec<T> x) {
  using C = ArcConstants<T>;
  Vec<T> a = abs<T>(x), one = broadcast(T(1)), zero{};
  Mask<T> middle = a > C::kTanPi8, large = a > C::kTan3Pi8;
  Vec<T> numerator = select<T>(large, -one, select<T>(middle, a - one, a));
  Vec<T> denominator = select<T>(large, a, select<T>(middle, a + one, one));
  Vec<T> eighths = select<T>(large, broadcast(T(4)), select<T>(middle, broadcast(T(2)), zero));
  Vec<T> t = numerator / denominator;
  return with_sign<T>(arc<T>(eighths, t, t * t, C::kTangent), x);
}

/// Where |x| > ½, arcsin and arccos follow from arcsin of the root of (1 − |x|)/2.
template <class T>
struct HalfAngle {
  Mask<T> large;         ///< |x| > ½
  Vec<T> square, twice;  ///< (1 − |x|)/2 there, x² elsewhere; 2 √square
};

template <class T>
MATGRAD_INLINE HalfAngle<T> half_angle(Vec<T> x) {
  Vec<T> a = abs<T>(x);
  Mask<T> large = a > T(0.5);
  Vec<T> square = select<T>(large, T(0.5) - T(0.5) * a, x * x);
  return {large, square, T(2) * sqrt<T>(square)};
}

/// arcsin |x| = π/2 − 2 arcsin √((1 − |x|)/2).
template <class T>
MATGRAD_INLINE Vec<T> arcsin(Vec<T> x) {
  auto [large, square, twice] = half_angle<T>(x);
  Vec<T> eighths = select<T>(large, broadcast(T(4)), Vec<T>{});
  return with_sign<T>(arc<T>(eighths, select<T>(large, -twice, abs<T>(x)), square, ArcConstants<T>::kSine), x);
}

/// arccos x = π/2 − arcsin x = 2 arcsin √((1 − x)/2) = π − 2 arcsin √((1 + x)/2).
template <class T>
MATGRAD_INLINE Vec<T> arccos(Vec<T> x) {
  auto [large, square, twice] = half_angle<T>(x);
  Mask<T> negative = x < T(0);
  Vec<T> eighths = select<T>(large, select<T>(negative, broadcast(T(8)), Vec<T>{}), broadcast(T(4)));
  Vec<T> t = select<T>(large, select<T>(negative, -twice, twice), -x);
  return arc<T>(eighths, t, square, ArcConstants<T>::kSine);
}

/// The angle of (x, y): arctan |y/x| or π/2 − arctan |x/y|, and that from π where x is negative.
template <class T>
MATGRAD_INLINE Vec<T> arctan2(Vec<T> y, Vec<T> x) {
  using C = ArcConstants<T>;
  Vec<T> a = abs<T>(x), b = abs<T>(y), zero{}, one = broadcast(T(1));
  Mask<T> steep = b > a, backward = (Mask<T>)sign_bit<T>(x) != 0;
  Vec<T> quotient = select<T>(steep, a, b) / select<T>(steep, b, a);
  quotient = select<T>(b == zero, zero, select<T>(a == b, one, quotient));
  Mask<T> middle = quotient > C::kTanPi8;
  Vec<T> t = select<T>(middle, (quotient - one) / (quotient + one), quotient);
  Vec<T> eighths = select<T>(middle, broadcast(T(2)), zero);
  t = select<T>(steep != backward, -t, t);
  eighths = select<T>(steep, T(4) - eighths, eighths);
  eighths = select<T>(backward, T(8) - eighths, eighths);
  Vec<T> angle = with_sign<T>(arc<T>(eighths, t, t * t, C::kTangent), y);
  return select<T>((x != x) | (y != y), x + y, angle);
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
