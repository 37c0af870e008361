// Elementary functions of every lane of a vector: exponentials, logarithms and what follows from them.
//
// All are branch-free and right at every special value. No step needs a fused multiply-add to round once, so that all
// instruction sets keep the same error bounds, which tests/test_math.py states and measures. Rounding errors that
// matter are carried along: of a sum a + b, with |a| ≥ |b|, the error is b − ((a + b) − a), exactly (Dekker 1971).
// Polynomials are minimax fits by Remez exchange.
#pragma once

#include "kernels/vec-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

/// The IEEE 754 format of T, and the constants that reduce arguments of exp and log.
template <class T>
struct Format;

template <>
struct Format<double> {
  using Bits = uint64_t;
  static constexpr int kMantissaBits = 52;
  static constexpr Bits kBias = 1023;
  static constexpr double kInfinity = __builtin_inf();
  static constexpr double kMinNormal = 0x1p-1022, kEpsilon = 0x1p-52;
  // log 2 = kLn2High + kLn2Low; kLn2High times an exponent is exact.
  static constexpr double kLn2High = 0x1.62e42fefa3p-1, kLn2Low = 0x1.3de6af278ece6p-42;
  static constexpr double kLog2E = 0x1.71547652b82fep+0;
  static constexpr Bits kSqrtHalf = 0x3fe6a09e667f3bcd;   // the bits of √½
  static constexpr double kExpMin = -746, kExpMax = 711;  // beyond them exp is 0, and exp, sinh, cosh are infinite
  static constexpr double kExpm1Min = -40;                // below it expm1 is −1
  // log2 e, log10 e and log10 2 as sums; the high parts are short, for exact products
  static constexpr double kLog2EHigh = 0x1.71547p+0, kLog2ELow = 0x1.94ae0bf85ddf4p-22;
  static constexpr double kLog10EHigh = 0x1.bcb7bp-2, kLog10ELow = 0x1.526e50e32a6abp-26;
  static constexpr double kLog10Of2High = 0x1.34413509f78p-2, kLog10Of2Low = 0x1.fef311f12b358p-46;
  // (eʳ − 1 − r)/r² on |r| ≤ log(2)/2; relative error of eʳ − 1: 2^−55.6
  static constexpr double kExp[] = {0x1.0000000000005p-1,  0x1.555555555555cp-3,  0x1.55555555520f4p-5,
                                    0x1.111111110e6e2p-7,  0x1.6c16c17f375b8p-10, 0x1.a01a01b5d33eap-13,
                                    0x1.a019a6861a8afp-16, 0x1.71ddea10fdbc4p-19, 0x1.28a2ab3d35faep-22,
                                    0x1.af769903dcd68p-26};
  // (2 artanh(s)/s − 2)/s² in powers of s² for 0 ≤ s ≤ (√2 − 1)/(√2 + 1); error of log(1 + f)/s: 2^−57.9
  static constexpr double kLog[] = {0x1.5555555555592p-1, 0x1.999999997fd7bp-2, 0x1.24924941f4ccap-2,
                                    0x1.c71c520629322p-3, 0x1.74663f9c0874dp-3, 0x1.39a1a78773ed6p-3,
                                    0x1.2f062f437de61p-3};
};

template <>
struct Format<float> {
  using Bits = uint32_t;
  static constexpr int kMantissaBits = 23;
  static constexpr Bits kBias = 127;
  static constexpr float kInfinity = __builtin_inff();
  static constexpr float kMinNormal = 0x1p-126f, kEpsilon = 0x1p-23f;
  static constexpr float kLn2High = 0x1.62e4p-1f, kLn2Low = 0x1.7f7d1cp-20f;
  static constexpr float kLog2E = 0x1.715476p+0f;
  static constexpr Bits kSqrtHalf = 0x3f3504f3;
  static constexpr float kExpMin = -104, kExpMax = 90;
  static constexpr float kExpm1Min = -20;
  static constexpr float kLog2EHigh = 0x1.714p+0f, kLog2ELow = 0x1.47652cp-12f;
  static constexpr float kLog10EHigh = 0x1.bcap-2f, kLog10ELow = 0x1.7b1526p-14f;
  static constexpr float kLog10Of2High = 0x1.344p-2f, kLog10Of2Low = 0x1.3509f8p-18f;
  static constexpr float kExp[] = {0x1.000000p-1f, 0x1.5554b0p-3f, 0x1.555486p-5f, 0x1.1227fep-7f, 0x1.6d990cp-10f};
  static constexpr float kLog[] = {0x1.555554p-1f, 0x1.999a7ap-2f, 0x1.2438d2p-2f, 0x1.e2f71ep-3f};
};

/// The lanes' bit patterns as unsigned integers; arithmetic on them wraps.
template <class T>
using Bits = Vec<typename Format<T>::Bits>;

/// Σ coefficients[i] xⁱ by Horner's rule.
template <class T, int N>
MATGRAD_INLINE Vec<T> polynomial(Vec<T> x, const T (&coefficients)[N]) {
  Vec<T> sum = broadcast(coefficients[N - 1]);
#pragma GCC unroll 16
  for (int i = N - 2; i >= 0; --i) sum = fma<T>(sum, x, broadcast(coefficients[i]));
  return sum;
}

/// x limited to [low, high]; NaN stays.
template <class T>
MATGRAD_INLINE Vec<T> clamp(Vec<T> x, T low, T high) {
  x = select<T>(x < low, broadcast(low), x);
  return select<T>(x > high, broadcast(high), x);
}

/// The sign bit of x, alone.
template <class T>
MATGRAD_INLINE Bits<T> sign_bit(Vec<T> x) {
  return (Bits<T>)x & (Bits<T>)broadcast(T(-0.0));
}

template <class T>
MATGRAD_INLINE Vec<T> abs(Vec<T> x) {
  return (Vec<T>)((Bits<T>)x ^ sign_bit<T>(x));
}

/// v, not negative, with the sign of x, also of zero.
template <class T>
MATGRAD_INLINE Vec<T> with_sign(Vec<T> v, Vec<T> x) {
  return (Vec<T>)((Bits<T>)v | sign_bit<T>(x));
}

/// A number as an unevaluated sum, |low| at most about half a unit in the last place of high.
template <class T>
struct Pair {
  Vec<T> high, low;
};

/// a + b exactly, if |a| ≥ |b| or a = 0.
template <class T>
MATGRAD_INLINE Pair<T> ordered_sum(Vec<T> a, Vec<T> b) {
  Vec<T> sum = a + b;
  return {sum, b - (sum - a)};
}

// --- Exponentials: eˣ = 2ⁿ eʳ with |r| ≤ log(2)/2 ---

/// Integers in floating point and, biased so that they are never negative, as bits of an integer lane.
template <class T>
struct Integer {
  Vec<T> value;
  Bits<T> biased;  ///< value + 2 kBias
};

/// x·factor rounded to an integer, for results between −2 kBias and 2^(kMantissaBits − 2).
/// Adding 1.5·2^kMantissaBits leaves the integer in the low bits of the sum.
template <class T>
MATGRAD_INLINE Integer<T> nearest_integer(Vec<T> x, T factor) {
  using F = Format<T>;
  constexpr T magic = T(3) * T(typename F::Bits(1) << (F::kMantissaBits - 1)) + T(2 * F::kBias);
  constexpr auto magic_bits = __builtin_bit_cast(typename F::Bits, magic) - 2 * F::kBias;
  Vec<T> shifted = fma<T>(x, broadcast(factor), broadcast(magic));
  return {shifted - magic, (Bits<T>)shifted - magic_bits};
}

/// 2^(biased − 2 kBias + plus) where that is a normal number.
template <class T>
MATGRAD_INLINE Vec<T> power_of_two(Bits<T> biased, typename Format<T>::Bits plus = 0) {
  return (Vec<T>)((biased + (plus - Format<T>::kBias)) << Format<T>::kMantissaBits);
}

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
  Integer<T> n = nearest_integer<T>(x, F::kLog2E);
  Vec<T> r = fma<T>(n.value, broadcast(-F::kLn2High), x);  // exact
  return {n, ordered_sum<T>(r, n.value * -F::kLn2Low)};
}

/// eʳ − 1 − r + rest.
template <class T>
MATGRAD_INLINE Vec<T> exp_series(Vec<T> r, Vec<T> rest) {
  return fma<T>(r * r, polynomial<T>(r, Format<T>::kExp), rest);
}

template <class T>
MATGRAD_INLINE Vec<T> exp(Vec<T> x) {
  using F = Format<T>;
  auto [n, r] = reduce<T>(clamp<T>(x, F::kExpMin, F::kExpMax));
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
  using F = Format<T>;
  auto [n, p] = expm1_pair<T>(clamp<T>(x, F::kExpm1Min, F::kExpMax));
  return with_sign<T>(scale<T>(p.high, n), x);
}

/// sinh x = (t + t/(t + 1))/2 with t = expm1 |x|.
template <class T>
MATGRAD_INLINE Vec<T> sinh(Vec<T> x) {
  using F = Format<T>;
  Vec<T> magnitude = abs<T>(x);
  auto [n, p] = expm1_pair<T>(clamp<T>(magnitude, T(0), F::kExpMax));
  Integer<T> n1{n.value - T(1), n.biased - 1};
  Vec<T> half = scale<T>(p.high, n1), low = scale<T>(p.low, n1);  // t/2, so that it overflows when sinh does
  Vec<T> t = half + half;
  Vec<T> result = half + (low + T(0.5) * select<T>(t < F::kInfinity, t / (t + T(1)), broadcast(T(1))));
  return with_sign<T>(select<T>(magnitude < F::kEpsilon, magnitude, result), x);
}

/// cosh x = h + 1/(4h) with h = e^|x|/2.
template <class T>
MATGRAD_INLINE Vec<T> cosh(Vec<T> x) {
  auto [n, p] = exp_pair<T>(clamp<T>(abs<T>(x), T(0), Format<T>::kExpMax));
  Vec<T> half = scale<T>(p.high, {n.value - T(1), n.biased - 1});
  return half + T(0.25) / half;
}

/// tanh |x| = −t/(t + 2) with t = expm1(−2|x|), the quotient corrected for the rounding of t and t + 2.
template <class T>
MATGRAD_INLINE Vec<T> tanh(Vec<T> x) {
  auto [n, p] = expm1_pair<T>(clamp<T>(T(-2) * abs<T>(x), Format<T>::kExpm1Min, T(0)));
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
  auto [n, p] = exp_pair<T>(clamp<T>(-abs<T>(x), F::kExpMin, T(0)));
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

// --- Logarithms: log x = k log 2 + log(1 + f) with √½ ≤ 1 + f < √2 ---

/// x = 2^exponent · mantissa with √½ ≤ mantissa < √2, for positive finite x.
template <class T>
struct Split {
  Vec<T> exponent, mantissa;
  Bits<T> biased;  ///< exponent + kBias, of normal x
};

template <class T>
MATGRAD_INLINE Split<T> split(Vec<T> x) {
  using F = Format<T>;
  using B = typename F::Bits;
  constexpr B one = F::kBias << F::kMantissaBits, fraction = (B(1) << F::kMantissaBits) - 1;
  constexpr T magic = T(B(1) << F::kMantissaBits);
  Mask<T> subnormal = x < F::kMinNormal;
  Bits<T> bits = (Bits<T>)select<T>(subnormal, x * magic, x) + (one - F::kSqrtHalf);
  Bits<T> biased = bits >> F::kMantissaBits;
  // The exponent's bits in the fraction of 2^kMantissaBits make the sum of both, exactly.
  Vec<T> shifted = (Vec<T>)(biased | __builtin_bit_cast(B, magic));
  Vec<T> bias = select<T>(subnormal, broadcast(magic + T(F::kBias + F::kMantissaBits)), broadcast(magic + T(F::kBias)));
  return {shifted - bias, (Vec<T>)((bits & fraction) + F::kSqrtHalf), biased};
}

/// log(1 + f) = f − (half_square − correction), the correction s (f²/2 + R(s²)) with s = f/(2 + f), as in fdlibm.
template <class T>
struct LogSeries {
  Vec<T> half_square, correction;
};

template <class T>
MATGRAD_INLINE LogSeries<T> log_series(Vec<T> f) {
  Vec<T> s = f / (f + T(2)), z = s * s, half_square = T(0.5) * f * f;
  return {half_square, s * fma<T>(z, polynomial<T>(z, Format<T>::kLog), half_square)};
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
  Vec<T> u = x + T(1), back = u - T(1), lost = (T(1) - (u - back)) + (x - back);  // 1 + x = u + lost (Knuth)
  auto [k, mantissa, biased] = split<T>(u);
  Vec<T> inverse = power_of_two<T>(3 * F::kBias - biased);  // 2⁻ᵏ
  auto [f, f_low] = ordered_sum<T>(mantissa - T(1), select<T>(k < T(F::kBias), lost * inverse, Vec<T>{}));
  auto [half_square, correction] = log_series<T>(f);
  correction = fma<T>(k, broadcast(F::kLn2Low), correction) + (f_low - f * f_low);
  Vec<T> result = fma<T>(k, broadcast(F::kLn2High), f - (half_square - correction));
  return (Vec<T>)((Bits<T>)log_special_values<T>(u, result) | sign_bit<T>(x));
}

/// log(1 + eˣ) = max(x, 0) + log1p(e^−|x|).
template <class T>
MATGRAD_INLINE Vec<T> softplus(Vec<T> x) {
  return select<T>(x > T(0), x, Vec<T>{}) + log1p<T>(exp<T>(-abs<T>(x)));
}

/// log x / log b = k·unit + log(1 + f)·factor, with unit = log 2 / log b and factor = 1/log b given as sums whose high
/// parts leave their products exact.
template <class T>
MATGRAD_INLINE Vec<T> log_to_base(Vec<T> x, T unit_high, T unit_low, T factor_high, T factor_low) {
  using F = Format<T>;
  constexpr auto low_half = (typename F::Bits(1) << ((F::kMantissaBits + 2) / 2)) - 1;
  auto [k, mantissa, biased] = split<T>(x);
  Vec<T> f = mantissa - T(1);
  auto [half_square, correction] = log_series<T>(f);
  Vec<T> high = (Vec<T>)((Bits<T>)(f - half_square) & ~low_half), low = ((f - high) - half_square) + correction;
  auto [sum, error] = ordered_sum<T>(k * unit_high, high * factor_high);
  Vec<T> rest = k * unit_low + (low + high) * factor_low + low * factor_high;
  return log_special_values<T>(x, sum + (error + rest));
}

template <class T>
MATGRAD_INLINE Vec<T> log2(Vec<T> x) {
  using F = Format<T>;
  return log_to_base<T>(x, T(1), T(0), F::kLog2EHigh, F::kLog2ELow);
}

template <class T>
MATGRAD_INLINE Vec<T> log10(Vec<T> x) {
  using F = Format<T>;
  return log_to_base<T>(x, F::kLog10Of2High, F::kLog10Of2Low, F::kLog10EHigh, F::kLog10ELow);
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
