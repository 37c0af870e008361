// The cube root of every lane.
#pragma once

#include "kernels/math-base-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

/// ∛m on [√½, √2], for a first guess with relative error 2^−19.6 and 2^−13.7.
template <class T>
struct CubeRootConstants;

template <>
struct CubeRootConstants<double> {
  static constexpr double kGuess[] = {0x1.afcf4d4b7a042p-2, 0x1.0e5704f697bd8p+0,  -0x1.ac10c0d393b4bp-1,
                                      0x1.059c202949dc9p-1, -0x1.6fb806ba595d9p-3, 0x1.b99a138011961p-6};
};

template <>
struct CubeRootConstants<float> {
  static constexpr float kGuess[] = {0x1.f85442p-2f, 0x1.7abc32p-1f, -0x1.295834p-2f, 0x1.dcede4p-5f};
};

/// ∛(2^(3n + e) m) = 2ⁿ ∛(2ᵉ m) with e = −1, 0 or 1: a guess, then one step of Halley's iteration, which triples its
/// digits. The guess is shortened first, so that its square is exact (as in FreeBSD's cbrt).
template <class T>
MATGRAD_INLINE Vec<T> cbrt(Vec<T> x) {
  Vec<T> a = abs<T>(x), one = broadcast(T(1));
  auto [exponent, m, biased] = split<T>(a);
  Integer<T> n = nearest_integer<T>(exponent, T(1.0 / 3));
  Vec<T> e = exponent - T(3) * n.value;
  auto by_e = [&](T minus, T plus) {
    return select<T>(e > T(0), broadcast(plus), select<T>(e < T(0), broadcast(minus), one));
  };
  Vec<T> guess =
      polynomial<T>(m, CubeRootConstants<T>::kGuess) * by_e(T(0x1.965fea53d6e3dp-1), T(0x1.428a2f98d728bp+0));
  guess = high_half<T>(guess);
  Vec<T> quotient = m * by_e(T(0.5), T(2)) / (guess * guess);
  Vec<T> root = guess + guess * ((quotient - guess) / (guess + guess + quotient));
  Mask<T> regular = (a > T(0)) & (a < Format<T>::kInfinity);
  return select<T>(regular, with_sign<T>(root * power_of_two<T>(n.biased), x), x);
}

/// √(x² + y²), both scaled by a power of two where a square would overflow or underflow.
template <class T>
MATGRAD_INLINE Vec<T> hypot(Vec<T> x, Vec<T> y) {
  constexpr bool is_double = sizeof(T) == 8;
  constexpr T large = is_double ? T(0x1p500) : T(0x1p60f), small = is_double ? T(0x1p-450) : T(0x1p-40f);
  constexpr T down = is_double ? T(0x1p-700) : T(0x1p-70f), up = is_double ? T(0x1p700) : T(0x1p100f);
  Vec<T> a = abs<T>(x), b = abs<T>(y), longer = select<T>(a > b, a, b), one = broadcast(T(1));
  auto by_size = [&](T if_large, T if_small) {
    return select<T>(longer > large, broadcast(if_large), select<T>(longer < small, broadcast(if_small), one));
  };
  Vec<T> factor = by_size(down, up), inverse = by_size(1 / down, 1 / up);
  a *= factor;
  b *= factor;
  Vec<T> root = sqrt<T>(a * a + b * b) * inverse;
  constexpr T infinity = Format<T>::kInfinity;
  return select<T>((abs<T>(x) == infinity) | (abs<T>(y) == infinity), broadcast(infinity), root);
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
