// Rounding, signs and comparisons of every lane.
#pragma once

#include "kernels/math-base-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

/// The nearest integer, the even one of two: adding 2^kMantissaBits leaves no room for a fraction.
template <class T>
MATGRAD_INLINE Vec<T> rint(Vec<T> x) {
  constexpr T magic = T(typename Format<T>::Bits(1) << Format<T>::kMantissaBits);
  Vec<T> magnitude = abs<T>(x);
  return with_sign<T>(select<T>(magnitude < magic, (magnitude + magic) - magic, magnitude), x);
}

template <class T>
MATGRAD_INLINE Vec<T> floor(Vec<T> x) {
  Vec<T> nearest = rint<T>(x);
  return select<T>(nearest > x, nearest - T(1), nearest);
}

template <class T>
MATGRAD_INLINE Vec<T> ceil(Vec<T> x) {
  return -floor<T>(-x);
}

template <class T>
MATGRAD_INLINE Vec<T> trunc(Vec<T> x) {
  return with_sign<T>(floor<T>(abs<T>(x)), x);
}

/// −1, 0 or 1; NaN stays.
template <class T>
MATGRAD_INLINE Vec<T> sign(Vec<T> x) {
  Vec<T> magnitude = select<T>(abs<T>(x) > T(0), broadcast(T(1)), abs<T>(x));
  return select<T>(x < T(0), -magnitude, magnitude);
}

/// max(x, 0); NaN stays.
template <class T>
MATGRAD_INLINE Vec<T> relu(Vec<T> x) {
  return select<T>(x <= T(0), Vec<T>{}, x);
}

/// 1 where the mask is set, 0 elsewhere.
template <class T>
MATGRAD_INLINE Vec<T> indicator(Mask<T> mask) {
  return select<T>(mask, broadcast(T(1)), Vec<T>{});
}

template <class T>
MATGRAD_INLINE Vec<T> logical_not(Vec<T> x) {
  return indicator<T>(x == T(0));
}

template <class T>
MATGRAD_INLINE Vec<T> greater(Vec<T> x, Vec<T> y) {
  return indicator<T>(x > y);
}

template <class T>
MATGRAD_INLINE Vec<T> greater_equal(Vec<T> x, Vec<T> y) {
  return indicator<T>(x >= y);
}

template <class T>
MATGRAD_INLINE Vec<T> equal(Vec<T> x, Vec<T> y) {
  return indicator<T>(x == y);
}

template <class T>
MATGRAD_INLINE Vec<T> not_equal(Vec<T> x, Vec<T> y) {
  return indicator<T>(x != y);
}

/// The larger; NaN if either is.
template <class T>
MATGRAD_INLINE Vec<T> maximum(Vec<T> x, Vec<T> y) {
  return select<T>((x >= y) | (x != x), x, y);
}

/// The smaller; NaN if either is.
template <class T>
MATGRAD_INLINE Vec<T> minimum(Vec<T> x, Vec<T> y) {
  return select<T>((x <= y) | (x != x), x, y);
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
