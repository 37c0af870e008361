// Running a plan: its steps one after another.
#pragma once

#include <array>

#include "plan/step.h"

namespace matgrad::plan {

/// Buffers of a program whose addresses don't need memory of their own.
constexpr size_t kFewBuffers = 64;

/// Where the operands of a step are.
template <class T>
using Pointers = std::array<T*, kMaxOperands>;

template <class T>
void run(const Elementwise& step, const Pointers<T>& at);
template <class T>
void run(const SumOfProducts& step, const Pointers<T>& at);
template <class T>
void run(const MatrixProduct& step, const Pointers<T>& at);
template <class T>
void run(const Mirror& step, const Pointers<T>& at);
template <class T>
void run(const SymmetricProduct& step, const Pointers<T>& at);
template <class T>
void run(const SymmetricSum& step, const Pointers<T>& at);
template <class T>
void run(const Scatter& step, const Pointers<T>& at);
template <class T>
void run(const RowReduction& step, const Pointers<T>& at);
/// Throws std::out_of_range.
template <class T>
void run(const Selection& step, const Pointers<T>& at);
template <class T>
void run(const CumulativeSum& step, const Pointers<T>& at);
template <class T>
void run(const Ordering& step, const Pointers<T>& at);
template <class T>
void run(const Softmax& step, const Pointers<T>& at);
template <class T>
void run(const Factorize& step, const Pointers<T>& at);
template <class T>
void run(const Determinant& step, const Pointers<T>& at);
/// Throws LinalgError.
template <class T>
void run(const Solve& step, const Pointers<T>& at);
/// Throws LinalgError.
template <class T>
void run(const Invert& step, const Pointers<T>& at);
/// Throws LinalgError.
template <class T>
void run(const Decompose& step, const Pointers<T>& at);

/// Where buffers begin, and which inputs, laid out as `arguments`, are shared mappings of files, whose pages are given
/// back when they are read.
template <class T>
struct Memory {
  const Buffers& numbers;
  T* const* begins;
  const bool* is_mapped;
  const std::vector<Argument>& arguments;
};

template <class T>
void run(const Pass& pass, const Memory<T>& memory);

}  // namespace matgrad::plan
