// Running a plan: its steps one after another.
#pragma once

#include "plan/step.h"

namespace matgrad::plan {

/// The memory that steps work on: where buffer k begins.
template <class T>
using Memory = T* const*;

template <class T>
void run(const Elementwise& step, Memory<T> memory);
template <class T>
void run(const SumOfProducts& step, Memory<T> memory);
template <class T>
void run(const MatrixProduct& step, Memory<T> memory);
template <class T>
void run(const RowReduction& step, Memory<T> memory);
template <class T>
void run(const Factorize& step, Memory<T> memory);
template <class T>
void run(const Determinant& step, Memory<T> memory);
/// Throws SingularMatrix.
template <class T>
void run(const Solve& step, Memory<T> memory);

/// Where a place is.
template <class T>
T* locate(Memory<T> memory, const Place& place) {
  return memory[place.buffer] + place.offset;
}

}  // namespace matgrad::plan
