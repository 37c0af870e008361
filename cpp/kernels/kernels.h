// The table of SIMD kernels: loops over pointers and sizes, one implementation per instruction set.
//
// Conventions. Vectors are contiguous. A matrix is row-major with unit column stride; `ld*` (leading dimension) is
// the distance between its rows in elements and may have any sign. Sizes may be zero. Inputs and outputs of one call
// don't overlap, unless a kernel says so.
#pragma once

#include <cstdint>

namespace matgrad::kernels {

/// Loops over a matrix A for forms quadratic in x (quadratic-inl.h).
template <class T>
struct QuadraticKernels {
  /// For rows i of A (rows×n): y[i] = Σ_j A[i,j] x[j], and z[j] += Σ_i w[i] A[i,j], reading A once.
  void (*matvec_both)(int64_t rows, int64_t n, const T* A, int64_t lda, const T* x, const T* w, T* y, T* z);
};

/// Everything compiled for one instruction set and one precision.
template <class T>
struct Table {
  QuadraticKernels<T> quadratic;
};

/// Everything compiled for one instruction set.
struct Kernels {
  const char* isa;       ///< "baseline", "x86-64-v3", "x86-64-v4"
  int64_t vector_bytes;  ///< width of a SIMD register
  Table<float> f32;
  Table<double> f64;
};

}  // namespace matgrad::kernels
