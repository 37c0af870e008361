// What the dense and the sparse factorization loss share.
#pragma once

#include <cstdint>

namespace matgrad {

/// A row-major matrix.
template <class T>
struct Matrix {
  T* data;
  int64_t stride;
};

inline int64_t round_up(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

/// ‖A‖² for a rows×columns matrix.
template <class T>
double sum_of_squares(int64_t rows, int64_t columns, Matrix<const T> A) {
  double sum = 0;
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) sum += double(A.data[i * A.stride + j]) * double(A.data[i * A.stride + j]);
  }
  return sum;
}

}  // namespace matgrad
