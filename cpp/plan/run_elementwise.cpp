// Elementwise steps: each row of the result is one call of a kernel.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "expr/special.h"
#include "kernels/dispatch.h"
#include "plan/rows.h"
#include "plan/run.h"

namespace matgrad::plan {
namespace {

/// The largest exponent up to which powers are repeated products.
constexpr int kLargestProduct = 16;

/// One row: of n elements, at[0] being the result and at[k] operand k, repeated if steps[k] is 0.
template <class T>
using RowFunction = void (*)(const Elementwise& step, int64_t n, const Pointers<T>& at, const Steps& steps);

template <class T>
const T kOne = 1;

template <class T>
void fill(const Elementwise& step, int64_t n, const Pointers<T>& at, const Steps&) {
  std::fill_n(at[0], n, T(step.a));
}

template <class T>
void scale(const Elementwise& step, int64_t n, const Pointers<T>& at, const Steps& steps) {
  if (step.a == 1 && steps[1] == 1) {
    if (at[0] != at[1]) std::memcpy(at[0], at[1], size_t(n) * sizeof(T));
  } else {
    kernels::table<T>().arithmetic.multiply(n, T(step.a), at[1], steps[1], &kOne<T>, 0, at[0]);
  }
}

template <class T>
void combine(const Elementwise& step, int64_t n, const Pointers<T>& at, const Steps& steps) {
  kernels::table<T>().arithmetic.combine(n, T(step.a), at[1], steps[1], T(step.b), at[2], steps[2], at[0]);
}

template <class T>
void multiply(const Elementwise& step, int64_t n, const Pointers<T>& at, const Steps& steps) {
  kernels::table<T>().arithmetic.multiply(n, T(step.a), at[1], steps[1], at[2], steps[2], at[0]);
}

template <class T>
void divide(const Elementwise&, int64_t n, const Pointers<T>& at, const Steps& steps) {
  kernels::table<T>().arithmetic.divide(n, at[1], steps[1], at[2], steps[2], at[0]);
}

template <class T>
void select(const Elementwise&, int64_t n, const Pointers<T>& at, const Steps& steps) {
  const T zero = 0;
  kernels::table<T>().map.where(n, at[2], steps[2], at[1], steps[1], &zero, 0, at[0]);
}

/// The function of one operand, of a table of the kernels, that has that name.
template <class T>
void apply(const char* name, int64_t n, const T* x, T* out) {
  const auto& map = kernels::table<T>().map;
  const auto* found =
      std::find_if(map.functions, map.functions + map.count, [&](const auto& f) { return !std::strcmp(f.name, name); });
  found->apply(n, x, out);
}

/// x^e for an integer e > 0, by repeated squaring: e in binary from its second digit on.
template <class T>
void integer_power(int e, int64_t n, const T* x, T* out) {
  const auto& arithmetic = kernels::table<T>().arithmetic;
  T base[kGathered];
  for (int64_t first = 0; first < n; first += kGathered) {
    const int64_t count = std::min(kGathered, n - first);
    std::copy_n(x + first, count, base);
    if (out != x) std::copy_n(base, count, out + first);
    for (int bit = int(std::log2(e)) - 1; bit >= 0; --bit) {
      arithmetic.multiply(count, 1, out + first, 1, out + first, 1, out + first);
      if (e >> bit & 1) arithmetic.multiply(count, 1, out + first, 1, base, 1, out + first);
    }
  }
}

template <class T>
void power(const Elementwise& step, int64_t n, const Pointers<T>& at, const Steps& steps) {
  const auto& table = kernels::table<T>();
  const double e = step.a, size = std::abs(e);
  const T* x = at[1];
  T* out = at[0];
  if (n > 1 && steps[1] == 0) {
    power<T>(step, 1, at, steps);
    std::fill_n(out, n, T(*out));
    return;
  }
  if (size == 2) {
    table.arithmetic.multiply(n, 1, x, 1, x, 1, out);
  } else if (size == 0.5) {
    apply("sqrt", n, x, out);
  } else if (size >= 1 && size <= kLargestProduct && size == std::floor(size)) {
    integer_power(int(size), n, x, out);
  } else {
    const T exponent = T(e);
    const auto* found = std::find_if(table.map.binary, table.map.binary + table.map.binary_count,
                                     [](const auto& f) { return !std::strcmp(f.name, "power"); });
    return found->apply(n, x, 1, &exponent, 0, out);
  }
  if (e < 0) table.arithmetic.reciprocal(n, out, out);
}

/// A function that has no kernel: its value of one element after another, in double precision.
template <class T>
void map_values(const Elementwise& step, int64_t n, const Pointers<T>& at, const Steps& steps) {
  const auto last = size_t(step.operands) - 1;  // stands for the operands that there aren't
  const std::array operands{size_t(1), std::min<size_t>(2, last), std::min<size_t>(3, last)};
  const auto [x, y, z] = std::array<const T*, 3>{at[operands[0]], at[operands[1]], at[operands[2]]};
  const auto [dx, dy, dz] = std::array<int64_t, 3>{steps[operands[0]], steps[operands[1]], steps[operands[2]]};
  const int64_t distinct = dx == 0 && dy == 0 && dz == 0 ? std::min<int64_t>(n, 1) : n;
  T* out = at[0];
  expr::with_value(*step.function, [=](auto f) {
    for (int64_t i = 0; i < distinct; ++i) out[i] = T(f(double(x[i * dx]), double(y[i * dy]), double(z[i * dz])));
  });
  if (distinct < n) std::fill(out + distinct, out + n, T(*out));
}

template <class T>
void map(const Elementwise& step, int64_t n, const Pointers<T>& at, const Steps& steps) {
  const auto& map = kernels::table<T>().map;
  if (step.kernel == kNoKernel) {
    map_values<T>(step, n, at, steps);
  } else if (step.operands == 2) {
    if (n > 1 && steps[1] == 0) {
      map.functions[step.kernel].apply(1, at[1], at[0]);
      std::fill_n(at[0], n, T(*at[0]));
    } else {
      map.functions[step.kernel].apply(n, at[1], at[0]);
    }
  } else if (step.operands == 3) {
    map.binary[step.kernel].apply(n, at[1], steps[1], at[2], steps[2], at[0]);
  } else {
    map.where(n, at[1], steps[1], at[2], steps[2], at[3], steps[3], at[0]);
  }
}

/// By RowOp.
template <class T>
constexpr RowFunction<T> kRowFunctions[] = {fill<T>,   scale<T>, combine<T>, multiply<T>,
                                            divide<T>, power<T>, select<T>,  map<T>};

}  // namespace

template <class T>
void run(const Elementwise& step, const Pointers<T>& at) {
  const RowFunction<T> function = kRowFunctions<T>[size_t(step.op)];
  const bool by_value = step.op == RowOp::Map && step.kernel == kNoKernel;
  run_nest<T>(
      step.nest, step.tiled, step.operands, at,
      [&](int64_t n, const Pointers<T>& row, const Steps& steps) { function(step, n, row, steps); },
      by_value ? kElementsPerChunk / kFlopsOfValue : kElementsPerChunk);
}

template void run(const Elementwise&, const Pointers<float>&);
template void run(const Elementwise&, const Pointers<double>&);

}  // namespace matgrad::plan
