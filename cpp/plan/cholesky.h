// Cholesky's factorization A = UᵀU of a symmetric matrix, and the inverse from it, in blocks that are products of
// matrices.
#pragma once

#include <cstdint>

namespace matgrad::plan {

/// Overwrites the upper triangle of A with U; returns false if A isn't positive definite. What is below the diagonal
/// isn't read, and changes.
template <class T>
bool cholesky(int64_t n, T* A);

/// The inverse of A = UᵀU.
template <class T>
void invert_cholesky(int64_t n, const T* U, T* inverse);

}  // namespace matgrad::plan
