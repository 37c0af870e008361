// Jacobian tensors that are a small core times Kronecker deltas: zeros, and the core scattered along the deltas.
//
// A tensor is written as a matrix of (size y) rows and (size x) columns, a range of rows at a time, in the order of
// memory. Kernels are written once for two ways of writing: through the cache, or past it for results too large for it.
#pragma once

#include "kernels/kernels.h"
#include "kernels/vec-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

/// Writes [begin, end) through the cache: zero but for what is put.
template <class T>
class CachedWriter {
 public:
  CachedWriter(T* begin, T* end) { std::memset(begin, 0, size_t(end - begin) * sizeof(T)); }
  void put(T* where, T value) { *where = value; }
  void copy(T* where, const T* values, int64_t count) { std::memcpy(where, values, size_t(count) * sizeof(T)); }
  void finish() {}
};

/// Writes [begin, end), which isn't empty, past the cache: zero but for what is put, at ascending places. Every cache
/// line is gathered in registers and written once as a whole, so that nothing is read from memory.
template <class T>
class StreamingWriter {
 public:
  MATGRAD_INLINE StreamingWriter(T* begin, T* end)
      : begin_(begin), end_(end), line_(begin - reinterpret_cast<uintptr_t>(begin) % kLineBytes / sizeof(T)) {}

  MATGRAD_INLINE void put(T* where, T value) {
    advance(where);
    const Vec<T> lane = broadcast(T(where - line_)), v = broadcast(value);
#pragma GCC unroll 4
    for (int k = 0; k < kVectors; ++k) values_[k] = load(kLaneNumbers + k * kLanes<T>) == lane ? v : values_[k];
  }

  /// Puts `count` neighbours.
  MATGRAD_INLINE void copy(T* where, const T* values, int64_t count) {
    for (; count > 0 && (where - line_) % kLine != 0; --count) put(where++, *values++);
    if (count >= kLine) {
      advance(where);
      for (; count >= kLine; count -= kLine, where += kLine, values += kLine, line_ += kLine) {
#pragma GCC unroll 4
        for (int k = 0; k < kVectors; ++k) stream(where + k * kLanes<T>, load(values + k * kLanes<T>));
      }
    }
    for (; count > 0; --count) put(where++, *values++);
  }

  MATGRAD_INLINE void finish() {
    advance(end_ - 1);
    if (line_ < end_) flush();
    stream_fence();
  }

 private:
  static constexpr int kLine = kLineBytes / int(sizeof(T)), kVectors = kLineBytes / kVectorBytes;
  static constexpr T kLaneNumbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

  /// Makes the line that `where` lies in the current one.
  MATGRAD_INLINE void advance(const T* where) {
    if (where < line_ + kLine) return;
    flush();
    for (line_ += kLine; where >= line_ + kLine; line_ += kLine) stream_line();
  }

  /// Writes the current line, or what of it lies in [begin, end); the rest may be another thread's.
  MATGRAD_INLINE void flush() {
    if (line_ >= begin_ && line_ + kLine <= end_) {
      stream_line();
    } else {
      for (int i = 0; i < kLine; ++i) {
        if (line_ + i >= begin_ && line_ + i < end_) line_[i] = values_[i / kLanes<T>][i % kLanes<T>];
      }
    }
#pragma GCC unroll 4
    for (int k = 0; k < kVectors; ++k) values_[k] = Vec<T>{};
  }

  MATGRAD_INLINE void stream_line() {
#pragma GCC unroll 4
    for (int k = 0; k < kVectors; ++k) stream(line_ + k * kLanes<T>, values_[k]);
  }

  T *begin_, *end_;
  T* line_;                    ///< the current line; its start may lie before begin_
  Vec<T> values_[kVectors]{};  ///< its values so far
};

/// Calls write(writer) with the way of writing [begin, end) that is wanted.
template <class T, class Write>
MATGRAD_INLINE void write_with(bool streaming, T* begin, T* end, const Write& write) {
  if (begin == end) return;
  if (streaming) {
    StreamingWriter<T> writer(begin, end);
    write(writer);
    writer.finish();
  } else {
    CachedWriter<T> writer(begin, end);
    write(writer);
    writer.finish();
  }
}

/// See JacobianKernels::product_by_left: row (i, j) has column j of B at its block i.
template <class T>
void product_by_left(bool streaming, int64_t first, int64_t last, int64_t m, int64_t n, int64_t k, const T* B,
                     int64_t ldb, T* J) {
  write_with(streaming, J + first * m * k, J + last * m * k, [&](auto& writer) {
    for (int64_t row = first; row < last; ++row) {
      const int64_t i = row / n, j = row % n;
      T* block = J + (row * m + i) * k;
      if (ldb == 1) {
        writer.copy(block, B + j, k);
      } else {
        for (int64_t p = 0; p < k; ++p) writer.put(block + p, B[p * ldb + j]);
      }
    }
  });
}

/// See JacobianKernels::product_by_right: row (i, j) has row i of A in its column j.
template <class T>
void product_by_right(bool streaming, int64_t first, int64_t last, int64_t n, int64_t k, const T* A, int64_t lda,
                      T* J) {
  write_with(streaming, J + first * k * n, J + last * k * n, [&](auto& writer) {
    for (int64_t row = first; row < last; ++row) {
      const int64_t i = row / n, j = row % n;
      T* column = J + row * k * n + j;
      for (int64_t p = 0; p < k; ++p) writer.put(column + p * n, A[i * lda + p]);
    }
  });
}

/// See JacobianKernels::gram: row (p, q) has column q of R in its column p, plus column p of R in its column q.
template <class T>
void gram(bool streaming, int64_t first, int64_t last, int64_t m, int64_t n, const T* R, int64_t ldr, T* J) {
  write_with(streaming, J + first * m * n, J + last * m * n, [&](auto& writer) {
    for (int64_t row = first; row < last; ++row) {
      const int64_t p = row / n, q = row % n, low = p < q ? p : q, high = p < q ? q : p;
      T* matrix = J + row * m * n;
      for (int64_t i = 0; i < m; ++i) {
        const T* values = R + i * ldr;
        if (low == high) {
          writer.put(matrix + i * n + low, values[low] + values[low]);
        } else {
          writer.put(matrix + i * n + low, values[high]);
          writer.put(matrix + i * n + high, values[low]);
        }
      }
    }
  });
}

template <class T>
constexpr JacobianKernels<T> jacobian_kernels() {
  return {.product_by_left = product_by_left<T>, .product_by_right = product_by_right<T>, .gram = gram<T>};
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
