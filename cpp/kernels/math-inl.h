// Elementary functions of every lane of a vector.
//
// All are right at every special value, and branch-free but for huge arguments of sin, cos and tan. No step needs a
// fused multiply-add to round once, so that all instruction sets keep the same error bounds, which tests/test_math.py
// states and measures. Rounding errors that matter are carried along as the low parts of unevaluated sums.
// Polynomials are minimax fits by Remez exchange.
#pragma once

#include "kernels/math-arc-inl.h"
#include "kernels/math-exp-inl.h"
#include "kernels/math-log-inl.h"
#include "kernels/math-power-inl.h"
#include "kernels/math-root-inl.h"
#include "kernels/math-round-inl.h"
#include "kernels/math-trig-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

/// log(1 + eˣ) = max(x, 0) + log1p(e^−|x|).
template <class T>
MATGRAD_INLINE Vec<T> softplus(Vec<T> x) {
  return select<T>(x > T(0), x, Vec<T>{}) + log1p<T>(exp<T>(-abs<T>(x)));
}

/// log(x/(1 − x)), which near its zero is 2 arctanh(2x − 1); 2x − 1 is exact there.
template <class T>
MATGRAD_INLINE Vec<T> logit(Vec<T> x) {
  const Vec<T> centered = (x + x) - T(1);
  return select<T>(abs<T>(centered) < T(0.5), T(2) * arctanh<T>(centered), log<T>(x / (T(1) - x)));
}

/// x f(y), and 0 for x = 0 but where y is NaN.
template <class T>
MATGRAD_INLINE Vec<T> times_log(Vec<T> x, Vec<T> y, Vec<T> log_y) {
  return select<T>((x == T(0)) & (y == y), Vec<T>{}, x * log_y);
}
template <class T>
MATGRAD_INLINE Vec<T> xlogy(Vec<T> x, Vec<T> y) {
  return times_log<T>(x, y, log<T>(y));
}
template <class T>
MATGRAD_INLINE Vec<T> xlog1py(Vec<T> x, Vec<T> y) {
  return times_log<T>(x, y, log1p<T>(y));
}

/// −x log x, 0 for x = 0, and −∞ for x < 0.
template <class T>
MATGRAD_INLINE Vec<T> entr(Vec<T> x) {
  const Vec<T> value = select<T>(x == T(0), Vec<T>{}, -x * log<T>(x));
  return select<T>(x < T(0), broadcast(-Format<T>::kInfinity), value);
}

/// sin(πx)/(πx): for x = n + f, n being the nearest integer, sin(πx) = (−1)ⁿ sin(πf), and f is exact.
template <class T>
MATGRAD_INLINE Vec<T> sinc(Vec<T> x) {
  constexpr T pi = T(3.14159265358979323846);
  const Vec<T> nearest = rint<T>(x), half = T(0.5) * nearest;
  const Vec<T> sine = sin<T>(pi * (x - nearest));
  const Vec<T> value = select<T>(half == rint<T>(half), sine, -sine) / (pi * x);
  return select<T>(x == T(0), broadcast(T(1)), value);
}

/// |x| with the sign of y, also of zero.
template <class T>
MATGRAD_INLINE Vec<T> copysign(Vec<T> x, Vec<T> y) {
  return with_sign<T>(abs<T>(x), y);
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
