// What the elementary functions are made of: the bits of floating-point numbers, polynomials, unevaluated sums.
#pragma once

#include "kernels/vec-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

/// The IEEE 754 format of T, and log 2 to reduce arguments.
template <class T>
struct Format;

template <>
struct Format<double> {
  using Bits = uint64_t;
  static constexpr int kMantissaBits = 52;
  static constexpr Bits kBias = 1023;
  static constexpr double kInfinity = __builtin_inf();
  static constexpr Bits kSqrtHalf = 0x3fe6a09e667f3bcd;  // the bits of √½
  static constexpr double kMinNormal = 0x1p-1022, kEpsilon = 0x1p-52;
  // log 2 = kLn2High + kLn2Low; kLn2High times an exponent is exact.
  static constexpr double kLn2High = 0x1.62e42fefa3p-1, kLn2Low = 0x1.3de6af278ece6p-42;
};

template <>
struct Format<float> {
  using Bits = uint32_t;
  static constexpr int kMantissaBits = 23;
  static constexpr Bits kBias = 127;
  static constexpr float kInfinity = __builtin_inff();
  static constexpr Bits kSqrtHalf = 0x3f3504f3;
  static constexpr float kMinNormal = 0x1p-126f, kEpsilon = 0x1p-23f;
  static constexpr float kLn2High = 0x1.62e4p-1f, kLn2Low = 0x1.7f7d1cp-20f;
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

/// v with the lower half of its mantissa cleared, so that the product of two such numbers is exact.
template <class T>
MATGRAD_INLINE Vec<T> high_half(Vec<T> v) {
  using F = Format<T>;
  return (Vec<T>)((Bits<T>)v & ~((typename F::Bits(1) << (F::kMantissaBits / 2 + 1)) - 1));
}

/// A number as an unevaluated sum, |low| at most about half a unit in the last place of high.
template <class T>
struct Pair {
  Vec<T> high, low;
};

/// a + b exactly, if |a| ≥ |b| or a = 0 (Dekker 1971).
template <class T>
MATGRAD_INLINE Pair<T> ordered_sum(Vec<T> a, Vec<T> b) {
  Vec<T> sum = a + b;
  return {sum, b - (sum - a)};
}

/// a + b exactly (Knuth).
template <class T>
MATGRAD_INLINE Pair<T> sum(Vec<T> a, Vec<T> b) {
  Vec<T> sum = a + b, b_part = sum - a;
  return {sum, (a - (sum - b_part)) + (b - b_part)};
}

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

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
