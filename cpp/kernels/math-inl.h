// Elementary functions of every lane of a vector: exp and log, branch-free, right at every special value.
//
// No step needs a fused multiply-add to round once, so that all instruction sets keep the same error bounds (stated
// and measured by tests/test_math.py). Polynomials are minimax fits by Remez exchange.
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
  static constexpr double kMinNormal = 0x1p-1022;
  // log 2 = kLn2High + kLn2Low; kLn2High times an exponent is exact.
  static constexpr double kLn2High = 0x1.62e42fefa3p-1, kLn2Low = 0x1.3de6af278ece6p-42;
  static constexpr double kLog2E = 0x1.71547652b82fep+0;
  static constexpr Bits kSqrtHalf = 0x3fe6a09e667f3bcd;   // the bits of √½
  static constexpr double kExpMin = -746, kExpMax = 710;  // beyond them exp is 0 or infinite
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
  static constexpr float kMinNormal = 0x1p-126f;
  static constexpr float kLn2High = 0x1.62e4p-1f, kLn2Low = 0x1.7f7d1cp-20f;
  static constexpr float kLog2E = 0x1.715476p+0f;
  static constexpr Bits kSqrtHalf = 0x3f3504f3;
  static constexpr float kExpMin = -104, kExpMax = 89;
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

/// Integers near zero in floating point and, biased so that they are never negative, as bits of an integer lane.
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

/// v·2ⁿ with one rounding, for n from −2 kBias to 2 kBias; ½ ≤ |v| < 4 where the result is subnormal or overflows.
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

/// eˣ = 2ⁿ eʳ with |r| ≤ log(2)/2.
template <class T>
MATGRAD_INLINE Vec<T> exp(Vec<T> x) {
  using F = Format<T>;
  x = clamp<T>(x, F::kExpMin, F::kExpMax);
  Integer<T> n = nearest_integer<T>(x, F::kLog2E);
  Vec<T> r = fma<T>(n.value, broadcast(-F::kLn2Low), fma<T>(n.value, broadcast(-F::kLn2High), x));
  Vec<T> e = fma<T>(r * r, polynomial<T>(r, F::kExp), r) + T(1);
  return scale<T>(e, n);
}

/// x = 2^exponent · mantissa with √½ ≤ mantissa < √2, for positive finite x.
template <class T>
struct Split {
  Vec<T> exponent, mantissa;
};

template <class T>
MATGRAD_INLINE Split<T> split(Vec<T> x) {
  using F = Format<T>;
  constexpr typename F::Bits one = F::kBias << F::kMantissaBits,
                             fraction = (typename F::Bits(1) << F::kMantissaBits) - 1;
  constexpr T magic = T(typename F::Bits(1) << F::kMantissaBits);
  Mask<T> subnormal = x < F::kMinNormal;
  Bits<T> bits = (Bits<T>)select<T>(subnormal, x * magic, x) + (one - F::kSqrtHalf);
  // The exponent's bits in the fraction of 2^kMantissaBits make the sum of both, exactly.
  Vec<T> shifted = (Vec<T>)((bits >> F::kMantissaBits) | __builtin_bit_cast(typename F::Bits, magic));
  Vec<T> bias = select<T>(subnormal, broadcast(magic + T(F::kBias + F::kMantissaBits)), broadcast(magic + T(F::kBias)));
  return {shifted - bias, (Vec<T>)((bits & fraction) + F::kSqrtHalf)};
}

/// log x = k log 2 + log(1 + f), the latter f − f²/2 + s (f²/2 + R(s²)) with s = f/(2 + f), as in fdlibm.
template <class T>
MATGRAD_INLINE Vec<T> log(Vec<T> x) {
  using F = Format<T>;
  auto [k, mantissa] = split<T>(x);
  Vec<T> f = mantissa - T(1);
  Vec<T> s = f / (f + T(2)), z = s * s, half_square = T(0.5) * f * f;
  Vec<T> correction = fma<T>(s, fma<T>(z, polynomial<T>(z, F::kLog), half_square), k * F::kLn2Low);
  Vec<T> result = fma<T>(k, broadcast(F::kLn2High), f - (half_square - correction));
  result = select<T>(x < F::kInfinity, result, x);
  result = select<T>(x > T(0), result, broadcast(T(__builtin_nan(""))));
  return select<T>(x == T(0), broadcast(-F::kInfinity), result);
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
