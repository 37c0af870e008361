// The logarithm of a sum of exponentials, and its gradient.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>

#include "kernels/dispatch.h"
#include "plan/chunks.h"

namespace matgrad {

/// The largest of x, NaN aside.
template <class T>
T maximum_of(int64_t n, const T* x) {
  const auto& reduce = kernels::table<T>().reduce;
  return reduce_ranges(
      n, [&](int64_t first, int64_t last) { return reduce.maximum(last - first, x + first); },
      [](T a, T b) { return std::max(a, b); });
}

/// m + log Σ exp(x[i] − m), m the maximum. Its own terms, exp(0), are kept apart from the others, so that nothing small
/// is lost: m + log k + log(1 + others / k), k terms being equal to the maximum.
template <class T>
T logsumexp_of(int64_t n, const T* x) {
  using Sum = kernels::SumOfExponentials<T>;
  const auto& reduce = kernels::table<T>().reduce;
  T m = maximum_of(n, x);
  if (!std::isfinite(m)) m = 0;
  const Sum sum = reduce_ranges(
      n, [&](int64_t first, int64_t last) { return reduce.sum_exp(last - first, x + first, m); },
      [](Sum a, Sum b) { return Sum{a.others + b.others, a.equal + b.equal}; });
  if (sum.equal == 0) return m + std::log(sum.others);
  return m + (std::log(sum.equal) + std::log1p(sum.others / sum.equal));
}

/// s = exp(x − m) / Σ exp(x[i] − m), m the maximum; all NaN where that is infinite.
template <class T>
void softmax(int64_t n, const T* x, T* s) {
  const auto& reduce = kernels::table<T>().reduce;
  const T m = maximum_of(n, x);
  const T sum = reduce_ranges(
      n, [&](int64_t first, int64_t last) { return reduce.exp(last - first, x + first, m, s + first); }, std::plus<>());
  threads::parallel_ranges(n, kElementsPerChunk,
                           [&](int64_t first, int64_t last) { reduce.multiply(last - first, 1 / sum, s + first); });
}

}  // namespace matgrad
