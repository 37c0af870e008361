// Products of matrices in memory, of which algorithms on matrices are made.
#pragma once

#include "plan/run.h"

namespace matgrad::plan {

/// A matrix in memory, element (i, j) of which is data[i * row + j * column].
template <class T>
struct Strided {
  T* data;
  int64_t row, column;
  Strided transposed() const { return {data, column, row}; }
  Strided from(int64_t i, int64_t j) const { return {data + i * row + j * column, row, column}; }
};

/// C = scale A B, or C += scale A B, C being of unit stride along columns.
template <class T>
void multiply(int64_t rows, int64_t columns, int64_t k, T scale, Strided<T> A, Strided<T> B, bool add, Strided<T> C) {
  if (rows == 0 || columns == 0) return;
  const MatrixProduct step{.operands = add ? 4 : 3,
                           .rows = rows,
                           .columns = columns,
                           .k = k,
                           .ldc = C.row,
                           .a_row = A.row,
                           .a_column = A.column,
                           .b_row = B.row,
                           .b_column = B.column,
                           .ldd = add ? C.row : 0,
                           .scale = double(scale),
                           .shift = add ? 1.0 : 0.0};
  run<T>(step, {C.data, A.data, B.data, C.data});
}

}  // namespace matgrad::plan
