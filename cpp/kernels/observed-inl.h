// Factorization loss over the stored entries of a sparse X, and its gradients: the residual lives in registers.
#pragma once

#include "kernels/gemm-inl.h"
#include "kernels/kernels.h"
#include "kernels/tile-inl.h"
#include "kernels/vec-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

/// Entries that are computed side by side, so that their dot products hide each other's latency.
template <class T>
constexpr int kEntries = kLanes<T> < 4 ? kLanes<T> : 4;

/// See ObservedKernels. With e = x − u·v for each entry: UG[i,:] += e v, VtG[j,:] += e u.
template <class T, class Index>
double observed_rows(int64_t rows, const Index* row_starts, const Index* columns, const T* values, int64_t rank,
                     const T* U, const T* Vt, T* UG, T* VtG) {
  constexpr int64_t L = kLanes<T>;
  constexpr int E = kEntries<T>;
  double squares = 0;
  for (int64_t i = 0; i < rows; ++i) {
    const T* u = U + i * rank;
    T* ug = UG + i * rank;
    Vec<T> row_squares{};
    for (int64_t entry = row_starts[i]; entry < row_starts[i + 1]; entry += E) {
      const int64_t count = row_starts[i + 1] - entry;
      with_constant<E>(count < E ? count : E, [&](auto N) {
        const T* v[N.value];
        T* vg[N.value];
        Vec<T> dot[E] = {};
        for (int e = 0; e < N.value; ++e) {
          const int64_t offset = int64_t(columns[entry + e]) * rank;
          v[e] = Vt + offset;
          vg[e] = VtG + offset;
        }
        for (int64_t a = 0; a < rank; a += L) {
          const Vec<T> u_part = load(u + a);
          for (int e = 0; e < N.value; ++e) dot[e] = fma<T>(u_part, load(v[e] + a), dot[e]);
        }
        const Vec<T> residuals = keep_first<T>(load_first(values + entry, N.value) - sum_rows<T, E>(dot), N.value);
        row_squares = fma<T>(residuals, residuals, row_squares);
        Vec<T> residual[N.value];
        for (int e = 0; e < N.value; ++e) residual[e] = broadcast(residuals[e]);
        for (int64_t a = 0; a < rank; a += L) {
          const Vec<T> u_part = load(u + a);
          Vec<T> ug_part = load(ug + a);
          for (int e = 0; e < N.value; ++e) {
            ug_part = fma<T>(residual[e], load(v[e] + a), ug_part);
            store(vg[e] + a, fma<T>(residual[e], u_part, load(vg[e] + a)));  // in order: columns may repeat
          }
          store(ug + a, ug_part);
        }
      });
    }
    squares += double(sum_lanes<T>(row_squares));
  }
  return squares;
}

template <class T>
constexpr ObservedKernels<T> observed_kernels() {
  return {.rows32 = observed_rows<T, int32_t>, .rows64 = observed_rows<T, int64_t>};
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
