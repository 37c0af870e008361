// Factorization loss over the stored entries of a sparse X, and its gradients: the residual lives in registers.
#pragma once

#include "kernels/gemm-inl.h"
#include "kernels/vec-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

/// See ObservedKernels::rows. With e = x − u·v for each entry: UG[i,:] += e v, VtG[j,:] += e u.
template <class T, class Index>
double observed_rows(int64_t rows, const Index* row_starts, const Index* columns, const T* values, int64_t rank,
                     const T* U, const T* Vt, T* UG, T* VtG) {
  constexpr int64_t L = kLanes<T>;
  double squares = 0;
  for (int64_t i = 0; i < rows; ++i) {
    const T* u = U + i * rank;
    T* ug = UG + i * rank;
    const int64_t first = row_starts[i];
    // A few entries at once: their dot products hide each other's latency, and u is loaded once for all of them.
    for_pieces<4>(row_starts[i + 1] - first, [&](int64_t entry, auto N) {
      const T* v[N.value];
      T* vg[N.value];
      Vec<T> dot[N.value] = {}, residual[N.value];
      for (int e = 0; e < N.value; ++e) {
        const int64_t offset = int64_t(columns[first + entry + e]) * rank;
        v[e] = Vt + offset;
        vg[e] = VtG + offset;
      }
      for (int64_t a = 0; a < rank; a += L) {
        const Vec<T> u_part = load(u + a);
        for (int e = 0; e < N.value; ++e) dot[e] = fma<T>(u_part, load(v[e] + a), dot[e]);
      }
      for (int e = 0; e < N.value; ++e) {
        const T r = values[first + entry + e] - sum_lanes<T>(dot[e]);
        squares += double(r) * double(r);
        residual[e] = broadcast(r);
      }
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
  return squares;
}

template <class T>
constexpr ObservedKernels<T> observed_kernels() {
  return {.rows32 = observed_rows<T, int32_t>, .rows64 = observed_rows<T, int64_t>};
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
