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

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
