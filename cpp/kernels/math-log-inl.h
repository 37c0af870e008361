// Logarithms of every lane: log x = k log 2 + log(1 + f) with √½ ≤ 1 + f < √2.
#pragma once

#include "kernels/math-base-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

template <class T>
struct LogConstants;

template <>
struct LogConstants<double> {
  // log2 e, log10 e and log10 2 as sums; the high parts are short, for exact products
  static constexpr double kLog2EHigh = 0x1.71547p+0, kLog2ELow = 0x1.94ae0bf85ddf4p-22;
  static constexpr double kLog10EHigh = 0x1.bcb7bp-2, kLog10ELow = 0x1.526e50e32a6abp-26;
  static constexpr double kLog10Of2High = 0x1.34413509f78p-2, kLog10Of2Low = 0x1.fef311f12b358p-46;
  // (2 artanh(s)/s − 2)/s² in powers of s² for 0 ≤ s ≤ (√2 − 1)/(√2 + 1); error of log(1 + f)/s: 2^−57.9
  static constexpr double kSeries[] = {0x1.5555555555592p-1, 0x1.999999997fd7bp-2, 0x1.24924941f4ccap-2,
                                       0x1.c71c520629322p-3, 0x1.74663f9c0874dp-3, 0x1.39a1a78773ed6p-3,
                                       0x1.2f062f437de61p-3};
};

template <>
struct LogConstants<float> {
  static constexpr float kLog2EHigh = 0x1.714p+0f, kLog2ELow = 0x1.47652cp-12f;
  static constexpr float kLog10EHigh = 0x1.bcap-2f, kLog10ELow = 0x1.7b1526p-14f;
  static constexpr float kLog10Of2High = 0x1.344p-2f, kLog10Of2Low = 0x1.3509f8p-18f;
  // error 2^−30
  static constexpr float kSeries[] = {0x1.555554p-1f, 0x1.999a7ap-2f, 0x1.2438d2p-2f, 0x1.e2f71ep-3f};
};

/// log(1 + f) = f − (half_square − correction), the correction s (f²/2 + R(s²)) with s = f/(2 + f), as in fdlibm.
template <class T>
struct LogSeries {
  Vec<T> half_square, correction;
};

template <class T>
MATGRAD_INLINE LogSeries<T> log_series(Vec<T> f) {
  Vec<T> s = f / (f + T(2)), z = s * s, half_square = T(0.5) * f * f;
  return {half_square, s * fma<T>(z, polynomial<T>(z, LogConstants<T>::kSeries), half_square)};
}

/// `result`, right for positive finite x, made right for every x.
template <class T>
MATGRAD_INLINE Vec<T> log_special_values(Vec<T> x, Vec<T> result) {
  result = select<T>(x < Format<T>::kInfinity, result, x);
  result = select<T>(x > T(0), result, broadcast(T(__builtin_nan(""))));
  return select<T>(x == T(0), broadcast(-Format<T>::kInfinity), result);
}

template <class T>
MATGRAD_INLINE Vec<T> log(Vec<T> x) {
  using F = Format<T>;
  auto [k, mantissa, biased] = split<T>(x);
  Vec<T> f = mantissa - T(1);
  auto [half_square, correction] = log_series<T>(f);
  correction = fma<T>(k, broadcast(F::kLn2Low), correction);
  return log_special_values<T>(x, fma<T>(k, broadcast(F::kLn2High), f - (half_square - correction)));
}

/// log(1 + x): with u = 1 + x rounded, f takes up what u lost of x.
template <class T>
MATGRAD_INLINE Vec<T> log1p(Vec<T> x) {
  using F = Format<T>;
  auto [u, lost] = sum<T>(broadcast(T(1)), x);
  auto [k, mantissa, biased] = split<T>(u);
  Vec<T> inverse = power_of_two<T>(3 * F::kBias - biased);  // 2⁻ᵏ
  auto [f, f_low] = ordered_sum<T>(mantissa - T(1), select<T>(k < T(F::kBias), lost * inverse, Vec<T>{}));
  auto [half_square, correction] = log_series<T>(f);
  correction = fma<T>(k, broadcast(F::kLn2Low), correction) + (f_low - f * f_low);
  Vec<T> result = fma<T>(k, broadcast(F::kLn2High), f - (half_square - correction));
  return (Vec<T>)((Bits<T>)log_special_values<T>(u, result) | sign_bit<T>(x));
}

/// log x / log b = k·unit + log(1 + f)·factor, with unit = log 2 / log b and factor = 1/log b given as sums whose high
/// parts leave their products exact.
template <class T>
MATGRAD_INLINE Vec<T> log_to_base(Vec<T> x, T unit_high, T unit_low, T factor_high, T factor_low) {
  auto [k, mantissa, biased] = split<T>(x);
  Vec<T> f = mantissa - T(1);
  auto [half_square, correction] = log_series<T>(f);
  Vec<T> high = high_half<T>(f - half_square), low = ((f - high) - half_square) + correction;
  auto [leading, error] = ordered_sum<T>(k * unit_high, high * factor_high);
  Vec<T> rest = k * unit_low + (low + high) * factor_low + low * factor_high;
  return log_special_values<T>(x, leading + (error + rest));
}

template <class T>
MATGRAD_INLINE Vec<T> log2(Vec<T> x) {
  using C = LogConstants<T>;
  return log_to_base<T>(x, T(1), T(0), C::kLog2EHigh, C::kLog2ELow);
}

template <class T>
MATGRAD_INLINE Vec<T> log10(Vec<T> x) {
  using C = LogConstants<T>;
  return log_to_base<T>(x, C::kLog10Of2High, C::kLog10Of2Low, C::kLog10EHigh, C::kLog10ELow);
}

/// log(1 + t), or log(2x) where x is so large that its square would only lose digits.
template <class T>
MATGRAD_INLINE Vec<T> log_of_sum(Vec<T> x, Vec<T> t) {
  using F = Format<T>;
  Mask<T> large = x > 4 / F::kEpsilon;
  return log1p<T>(select<T>(large, x, t)) + select<T>(large, broadcast(F::kLn2High + F::kLn2Low), Vec<T>{});
}

/// arcsinh |x| = log(|x| + √(1 + x²)) = log1p(|x| + x²/(1 + √(1 + x²))).
template <class T>
MATGRAD_INLINE Vec<T> arcsinh(Vec<T> x) {
  Vec<T> a = abs<T>(x), square = a * a;
  return with_sign<T>(log_of_sum<T>(a, a + square / (sqrt<T>(square + T(1)) + T(1))), x);
}

/// arccosh x = log(x + √(x² − 1)) = log1p(u + √(u (u + 2))) with u = x − 1.
template <class T>
MATGRAD_INLINE Vec<T> arccosh(Vec<T> x) {
  Vec<T> u = x - T(1);
  return select<T>(x >= T(1), log_of_sum<T>(x, u + sqrt<T>(u * (u + T(2)))), broadcast(T(__builtin_nan(""))));
}

/// arctanh |x| = log1p(2|x|/(1 − |x|))/2.
template <class T>
MATGRAD_INLINE Vec<T> arctanh(Vec<T> x) {
  Vec<T> a = abs<T>(x);
  Vec<T> t = select<T>(a < T(0.5), (a + a) + (a + a) * a / (T(1) - a), (a + a) / (T(1) - a));
  return with_sign<T>(T(0.5) * log1p<T>(t), x);
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
