// Running nested loops: the innermost one is a call of a kernel on a row, which is gathered if it isn't contiguous.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "kernels/dispatch.h"
#include "plan/chunks.h"
#include "plan/run.h"
#include "plan/step.h"
#include "plan/threads.h"

namespace matgrad::plan {

/// Elements of a row that are gathered at a time.
constexpr int64_t kGathered = 256;
/// Rows and columns of a tile that is transposed.
constexpr int64_t kTile = 32;

using Steps = std::array<int64_t, kMaxOperands>;

/// Walks through loops, outermost first, from any position on.
template <class T>
class Odometer {
 public:
  /// At position `index` of the first `depth` loops of a nest.
  Odometer(const Nest& nest, size_t depth, Pointers<T> base, int64_t index = 0)
      : nest_(nest), depth_(depth), at_(base) {
    for (size_t loop = depth; loop-- > 0; index /= nest[loop].length)
      move(loop, counts_[loop] = index % nest[loop].length);
  }

  const Pointers<T>& pointers() const { return at_; }

  void next() {
    for (size_t loop = depth_; loop-- > 0;) {
      if (++counts_[loop] < nest_[loop].length) return move(loop, 1);
      move(loop, 1 - counts_[loop]);
      counts_[loop] = 0;
    }
  }

 private:
  void move(size_t loop, int64_t count) {
    for (size_t k = 0; k < kMaxOperands; ++k) at_[k] += count * nest_[loop].strides[k];
  }

  const Nest& nest_;
  const size_t depth_;
  Pointers<T> at_;
  std::array<int64_t, 64> counts_;
};

inline int64_t iterations(const Nest& nest, size_t depth) {
  int64_t count = 1;
  for (size_t loop = 0; loop < depth; ++loop) count *= nest[loop].length;
  return count;
}

/// Calls row(n, pointers, steps) for a row of which operand k has stride strides[k]: in one call if strides are 1, or 0
/// for operands, else in pieces that are copied. Operand 0 is the result.
template <class T, class Row>
void run_row(int64_t n, int operands, const Pointers<T>& at, const Steps& strides, const Row& row) {
  bool suits = strides[0] == 1 || n == 1;
  for (int k = 1; k < operands; ++k) suits &= strides[size_t(k)] == 1 || strides[size_t(k)] == 0;
  if (suits) return row(n, at, strides);
  alignas(64) T gathered[kMaxOperands][kGathered];
  for (int64_t first = 0; first < n; first += kGathered) {
    const int64_t count = std::min(kGathered, n - first);
    Pointers<T> pieces = at;
    Steps steps = strides;
    for (size_t k = 0; k < size_t(operands); ++k) {
      const T* from = at[k] + first * strides[k];
      pieces[k] = const_cast<T*>(from);
      if (strides[k] == 1 || (k > 0 && strides[k] == 0)) continue;
      pieces[k] = gathered[k];
      steps[k] = 1;
      if (k == 0) continue;
      for (int64_t i = 0; i < count; ++i) gathered[k][i] = from[i * strides[k]];
    }
    row(count, pieces, steps);
    if (strides[0] != 1) {
      T* to = at[0] + first * strides[0];
      for (int64_t i = 0; i < count; ++i) to[i * strides[0]] = gathered[0][i];
    }
  }
}

/// Runs the last two loops of a nest over a block, for which operands that are contiguous along the last but one are
/// transposed tile by tile.
template <class T, class Row>
void run_tiles(const Loop& middle, const Loop& inner, int64_t width, int operands, const Pointers<T>& base,
               const Row& row) {
  alignas(64) T tiles[kMaxOperands][kTile * kTile];
  for (int64_t first = 0; first < middle.length; first += kTile) {
    const int64_t height = std::min(kTile, middle.length - first);
    Pointers<T> at = base;
    Steps steps = inner.strides, jumps = middle.strides;
    for (size_t k = 0; k < size_t(operands); ++k) {
      at[k] += first * middle.strides[k];
      if (k == 0 || jumps[k] != 1 || steps[k] == 0) continue;
      kernels::table<T>().arithmetic.transpose(width, height, at[k], steps[k], tiles[k], kTile);
      at[k] = tiles[k];
      steps[k] = 1;
      jumps[k] = kTile;
    }
    for (int64_t i = 0; i < height; ++i) {
      run_row(width, operands, at, steps, row);
      for (size_t k = 0; k < size_t(operands); ++k) at[k] += jumps[k];
    }
  }
}

/// The longest rows of which several make one call of a kernel.
constexpr int64_t kShortRow = 64;

/// Runs the last two loops of a nest, of which the inner one is short, several rows at a time. What isn't contiguous
/// along both is copied.
template <class T, class Row>
void run_short_rows(int64_t rows, const Loop& middle, const Loop& inner, int operands, const Pointers<T>& base,
                    const Row& row) {
  alignas(64) T gathered[kMaxOperands][kGathered];
  const int64_t width = inner.length, height = kGathered / width;
  for (int64_t first = 0; first < rows; first += height) {
    const int64_t count = std::min(height, rows - first);
    Pointers<T> at = base;
    Steps steps{};
    bool scatters = false;
    for (size_t k = 0; k < size_t(operands); ++k) {
      const int64_t down = middle.strides[k], along = inner.strides[k];
      T* const from = at[k] += first * down;
      if (k > 0 && down == 0 && along == 0) continue;
      steps[k] = 1;
      if (along == 1 && down == width) continue;
      at[k] = gathered[k];
      scatters |= k == 0;
      for (int64_t i = 0; i < count && k > 0; ++i) {
        for (int64_t j = 0; j < width; ++j) gathered[k][i * width + j] = from[i * down + j * along];
      }
    }
    row(count * width, at, steps);
    for (int64_t i = 0; i < count && scatters; ++i) {
      T* const to = base[0] + (first + i) * middle.strides[0];
      for (int64_t j = 0; j < width; ++j) to[j * inner.strides[0]] = gathered[0][i * width + j];
    }
  }
}

/// Runs all loops of a nest: row(n, pointers, steps) as in run_row. If `tiled`, the last two run in tiles.
template <class T, class Row>
void run_nest(const Nest& nest, bool tiled, int operands, const Pointers<T>& base, const Row& row,
              int64_t elements_per_chunk = kElementsPerChunk) {
  if (nest.empty()) return row(1, base, Steps{});
  const Loop& inner = nest.back();
  const bool is_short = !tiled && nest.size() > 1 && inner.length <= kShortRow;
  const size_t depth = nest.size() - (tiled || is_short ? 2 : 1);
  // The loop that is cut: short rows are cut between rows.
  const Loop& cut = is_short ? nest[depth] : inner;
  const int64_t width = tiled      ? kTile
                        : is_short ? elements_per_chunk / std::max<int64_t>(1, inner.length)
                                   : elements_per_chunk;
  if (depth == 0 && nest.size() == 1 && inner.length <= width) {
    return run_row(inner.length, operands, base, inner.strides, row);
  }
  const int64_t pieces = (cut.length + width - 1) / width, items = iterations(nest, depth) * pieces;
  const int64_t across = tiled ? nest[depth].length : is_short ? inner.length : 1;
  const int64_t grain = problems_per_chunk(std::min(cut.length, width) * across, elements_per_chunk);
  threads::parallel_ranges(items, grain, [&](int64_t first, int64_t last) {
    Odometer<T> outer(nest, depth, base, first / pieces);
    for (int64_t item = first, piece = first % pieces; item < last; ++item) {
      const int64_t begin = piece * width, count = std::min(width, cut.length - begin);
      Pointers<T> at = outer.pointers();
      for (size_t k = 0; k < kMaxOperands; ++k) at[k] += begin * cut.strides[k];
      if (tiled) {
        run_tiles(nest[depth], inner, count, operands, at, row);
      } else if (is_short) {
        run_short_rows(count, nest[depth], inner, operands, at, row);
      } else {
        run_row(count, operands, at, inner.strides, row);
      }
      if (++piece == pieces) {
        piece = 0;
        outer.next();
      }
    }
  });
}

}  // namespace matgrad::plan
