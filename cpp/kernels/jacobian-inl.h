// Jacobian tensors that are small cores times identities: zeros, and the cores scattered along the identities.
//
// A tensor is written a range at a time, in the order of memory: through the cache, or past it if it is too large.
#pragma once

#include "kernels/kernels.h"
#include "kernels/vec-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

/// The entries of a scattered core, in the order of their places in the result.
template <class T>
class Cursor {
 public:
  /// At the first entry whose place isn't before `first`.
  MATGRAD_INLINE void seek(const Scattered<T>& core, int64_t first) {
    core_ = &core;
    int64_t inner = 0;  // what loops within the current one move at most
    for (int k = 0; k < core.depth; ++k) inner += (core.loops[k].length - 1) * core.loops[k].stride;
    place_ = core.offset;
    value_ = core.core;
    if (first > place_ + inner) {
      place_ = kNowhere;
      return;
    }
    for (int k = 0; k < core.depth; ++k) {
      const auto& loop = core.loops[k];
      inner -= (loop.length - 1) * loop.stride;
      const int64_t missing = first - place_ - inner;
      counts_[k] = missing <= 0 ? 0 : (missing + loop.stride - 1) / loop.stride;
      move(loop, counts_[k]);
    }
    left_ = core.depth == 0 ? 1 : core.loops[core.depth - 1].length - counts_[core.depth - 1];
  }

  int64_t place() const { return place_; }
  T value() const { return *value_ * core_->scale; }
  const T* values() const { return value_; }
  T scale() const { return core_->scale; }
  /// How many entries are left of the innermost loop, whose strides are these.
  int64_t left() const { return left_; }
  int64_t stride() const { return core_->depth == 0 ? 1 : core_->loops[core_->depth - 1].stride; }
  int64_t core_stride() const { return core_->depth == 0 ? 1 : core_->loops[core_->depth - 1].core_stride; }

  bool is_contiguous() const { return stride() == 1 && core_stride() == 1; }

  /// Passes `count` entries of the innermost loop.
  MATGRAD_INLINE void pass(int64_t count) {
    place_ += count * stride();
    value_ += count * core_stride();
    left_ -= count;
    if (left_ == 0) next_row();
  }

 private:
  static constexpr int64_t kNowhere = INT64_MAX;

  MATGRAD_INLINE void move(const typename Scattered<T>::Loop& loop, int64_t count) {
    place_ += count * loop.stride;
    value_ += count * loop.core_stride;
  }

  MATGRAD_INLINE void next_row() {
    int k = core_->depth - 1;
    if (k >= 0) {
      left_ = core_->loops[k].length;
      move(core_->loops[k], -left_);
    }
    while (--k >= 0) {
      const auto& loop = core_->loops[k];
      if (++counts_[k] < loop.length) return move(loop, 1);
      move(loop, 1 - loop.length);
      counts_[k] = 0;
    }
    place_ = kNowhere;
  }

  const Scattered<T>* core_;
  int64_t place_, left_;
  const T* value_;
  int64_t counts_[kMostScatterLoops];
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

  /// Puts `count` neighbours, scaled.
  MATGRAD_INLINE void copy(T* where, const T* values, int64_t count, T scale) {
    for (; count > 0 && (where - line_) % kLine != 0; --count) put(where++, *values++ * scale);
    if (count >= kLine) {
      advance(where);
      for (; count >= kLine; count -= kLine, where += kLine, values += kLine, line_ += kLine) {
#pragma GCC unroll 4
        for (int k = 0; k < kVectors; ++k)
          stream(where + k * kLanes<T>, load(values + k * kLanes<T>) * broadcast(scale));
      }
    }
    for (; count > 0; --count) put(where++, *values++ * scale);
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

/// What is left of the innermost loop of a cursor, in registers.
template <class T>
struct Row {
  MATGRAD_INLINE explicit Row(const Cursor<T>& cursor)
      : place(cursor.place()),
        stride(cursor.stride()),
        core_stride(cursor.core_stride()),
        left(cursor.left()),
        value(cursor.values()),
        scale(cursor.scale()) {}
  MATGRAD_INLINE T take() {
    const T taken = *value * scale;
    place += stride;
    value += core_stride;
    --left;
    return taken;
  }
  int64_t place, stride, core_stride, left;
  const T* value;
  T scale;
};

/// Writes the entries of two cores up to `last`, or the end of an innermost loop.
template <class T>
MATGRAD_INLINE void merge_rows(StreamingWriter<T>& writer, Cursor<T>& first, Cursor<T>& second, int64_t last, T* J) {
  Row<T> a(first), b(second);
  while (a.left > 0 && b.left > 0) {
    const int64_t place = a.place < b.place ? a.place : b.place;
    if (place >= last) break;
    T value = 0;
    const bool from_b = b.place == place;
    if (a.place == place) value += a.take();
    if (from_b) value += b.take();
    writer.put(J + place, value);
  }
  if (a.left != first.left()) first.pass(first.left() - a.left);
  if (b.left != second.left()) second.pass(second.left() - b.left);
}

/// Writes elements past the cache, merging the cores.
template <class T>
void scatter_streaming(int64_t first, int64_t last, int count, Cursor<T>* cursors, T* J) {
  StreamingWriter<T> writer(J + first, J + last);
  const bool is_pair = count == 2 && !cursors[0].is_contiguous() && !cursors[1].is_contiguous();
  while (true) {
    int next = 0;  // the core whose entry comes next
    for (int k = 1; k < count; ++k) next = cursors[k].place() < cursors[next].place() ? k : next;
    Cursor<T>& cursor = cursors[next];
    const int64_t place = cursor.place();
    if (place >= last) break;
    int64_t limit = last;  // up to which it is the only one
    for (int k = 0; k < count; ++k) limit = k != next && cursors[k].place() < limit ? cursors[k].place() : limit;
    if (is_pair && limit < last) {
      merge_rows(writer, cursors[0], cursors[1], last, J);
    } else if (limit == place) {
      T sum = 0;
      for (int k = 0; k < count; ++k) {
        if (cursors[k].place() != place) continue;
        sum += cursors[k].value();
        cursors[k].pass(1);
      }
      writer.put(J + place, sum);
    } else if (cursor.is_contiguous()) {
      const int64_t run = cursor.left() < limit - place ? cursor.left() : limit - place;
      writer.copy(J + place, cursor.values(), run, cursor.scale());
      cursor.pass(run);
    } else {
      Row<T> row(cursor);
      while (row.left > 0 && row.place < limit) {
        T* to = J + row.place;
        writer.put(to, row.take());
      }
      cursor.pass(cursor.left() - row.left);
    }
  }
  writer.finish();
}

/// Adds a core, or just writes it over zeros.
template <bool kAdd, class T>
void scatter_over(int64_t last, Cursor<T>& cursor, T* J) {
  const int64_t stride = cursor.stride(), core_stride = cursor.core_stride();
  const T scale = cursor.scale();
  while (cursor.place() < last) {
    const int64_t fitting = (last - cursor.place() + stride - 1) / stride;
    const int64_t run = cursor.left() < fitting ? cursor.left() : fitting;
    T* to = J + cursor.place();
    const T* from = cursor.values();
    if (stride == 1 && core_stride == 1) {
      for (int64_t i = 0; i < run; ++i) to[i] = (kAdd ? to[i] : T(0)) + from[i] * scale;
    } else {
      for (int64_t i = 0; i < run; ++i) {
        to[i * stride] = (kAdd ? to[i * stride] : T(0)) + from[i * core_stride] * scale;
      }
    }
    cursor.pass(run);
  }
}

/// See JacobianKernels::scatter.
template <class T>
void scatter(bool streaming, int64_t first, int64_t last, int count, const Scattered<T>* cores, T* J) {
  constexpr int kMost = 8;  // cores
  if (first == last) return;
  Cursor<T> cursors[kMost];
  for (int k = 0; k < count; ++k) cursors[k].seek(cores[k], first);
  if (streaming) return scatter_streaming(first, last, count, cursors, J);
  std::memset(J + first, 0, size_t(last - first) * sizeof(T));
  for (int k = 0; k < count; ++k) {
    k == 0 ? scatter_over<false>(last, cursors[k], J) : scatter_over<true>(last, cursors[k], J);
  }
}

template <class T>
constexpr JacobianKernels<T> jacobian_kernels() {
  return {.scatter = scatter<T>};
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
