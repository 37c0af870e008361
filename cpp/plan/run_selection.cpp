// Steps that select entries by index, add up over selected entries, sum cumulatively, or find an order.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "plan/nest.h"
#include "plan/rows.h"
#include "plan/run.h"

namespace matgrad::plan {
namespace {

/// The position that an index means, which counts from the end if it is negative.
template <class T>
int64_t position(T index, int64_t length) {
  const bool is_integer = std::abs(index) < T(0x1p62) && index == std::trunc(index);
  const int64_t place = is_integer ? int64_t(index) + (index < 0 ? length : 0) : -1;
  if (place >= 0 && place < length) return place;
  const std::string text = is_integer ? std::to_string(int64_t(index)) : std::to_string(double(index));
  throw std::out_of_range(
      "index " + text +
      (is_integer ? " is out of bounds for an axis of length " + std::to_string(length) : " must be an integer"));
}

/// Throws std::out_of_range if not all places along an axis are numbers of type T.
template <class T>
void require_exact(int64_t length) {
  constexpr int64_t kExact = int64_t(1) << 24;  // integers up to here are float32s
  if (sizeof(T) == 8 || length <= kExact) return;
  throw std::out_of_range("an axis of length " + std::to_string(length) +
                          " can't be indexed in float32, whose integers are exact up to 16777216 only");
}

/// Places of an axis that what is added up goes to.
struct Range {
  int64_t first = 0, last = std::numeric_limits<int64_t>::max();
};

/// The innermost loop of a selection; if nothing in it depends on the index, only where that is in the range.
template <class T>
void select_row(const Selection& step, const Loop& loop, const Pointers<T>& at, const Range& range = {}) {
  int64_t fixed = 0;
  bool is_fixed = true;
  for (size_t k = 2; k < size_t(step.operands); ++k) {
    if (loop.strides[k] == 0) {
      const int64_t place = position(*at[k], step.lengths[k]);
      if (place < range.first || place >= range.last) return;
      fixed += place * step.steps[k];
    } else {
      is_fixed = false;
    }
  }
  T* const to = at[0] + (step.adds ? fixed : 0);
  const T* const from = at[1] + (step.adds ? 0 : fixed);
  const int64_t to_stride = loop.strides[0], from_stride = loop.strides[1];
  if (is_fixed && step.adds && to_stride == 1 && from_stride == 1) {
    return kernels::table<T>().arithmetic.combine(loop.length, 1, to, 1, 1, from, 1, to);
  }
  if (is_fixed && !step.adds && to_stride == 1 && from_stride == 1) {
    std::memcpy(to, from, size_t(loop.length) * sizeof(T));
    return;
  }
  for (int64_t i = 0; i < loop.length; ++i) {
    int64_t offset = 0;
    for (size_t k = 2; k < size_t(step.operands); ++k) {
      if (loop.strides[k] != 0) offset += position(at[k][i * loop.strides[k]], step.lengths[k]) * step.steps[k];
    }
    if (step.adds) {
      to[i * to_stride + offset] += from[i * from_stride];
    } else {
      to[i * to_stride] = from[i * from_stride + offset];
    }
  }
}

/// Calls row(pointers) for each of the rows that a nest goes through, if `is_parallel` in chunks.
template <class T, class Row>
void for_each_position(const Nest& nest, size_t depth, int64_t work, bool is_parallel, const Pointers<T>& base,
                       const Row& row) {
  const int64_t count = iterations(nest, depth);
  auto range = [&](int64_t first, int64_t last) {
    Odometer<T> odometer(nest, depth, base, first);
    for (int64_t k = first; k < last; ++k, odometer.next()) row(odometer.pointers());
  };
  if (is_parallel) return threads::parallel_ranges(count, problems_per_chunk(work), range);
  range(0, count);
}

/// Calls visit(i, j) in the order in which a cumulative sum takes an element j in, and then done(i).
template <class Visit, class Done>
void walk(const CumulativeSum& step, const Visit& visit, const Done& done) {
  int64_t next = step.reversed ? step.x_length - 1 : 0;
  for (int64_t k = 0; k < step.result_length; ++k) {
    const int64_t i = step.reversed ? step.result_length - 1 - k : k;
    if (step.reversed) {
      for (; next >= 0 && i <= next + step.offset; --next) visit(next);
    } else {
      for (; next < step.x_length && next <= i + step.offset; ++next) visit(next);
    }
    done(i);
  }
}

/// An entry, as an integer whose order is that of the entries, and where it is.
template <class Key>
struct Entry {
  Key key;
  Key place;
};

/// The entries of a row. The sign bit of a positive number is set, all bits of a negative one are flipped; zeros are
/// equal, and NaN is last.
template <class Key, class T>
std::vector<Entry<Key>> entries_of(const Ordering& step, const T* x) {
  constexpr Key kSign = Key(1) << (8 * sizeof(Key) - 1);
  std::vector<Entry<Key>> entries(static_cast<size_t>(step.length));
  for (size_t i = 0; i < entries.size(); ++i) {
    const T value = x[int64_t(i) * step.x_stride];
    const Key bits = std::bit_cast<Key>(value + T(0));
    entries[i] = {std::isnan(value) ? ~Key(0) : (bits & kSign) != 0 ? ~bits : bits | kSign, Key(i)};
  }
  return entries;
}

/// Sorts by keys; equal ones keep their order. Long rows are distributed by one digit after another.
template <class Key>
void sort(std::vector<Entry<Key>>& entries) {
  constexpr size_t kShort = 1024, kDigits = 256;
  if (entries.size() <= kShort) {
    std::ranges::stable_sort(entries, {}, &Entry<Key>::key);
    return;
  }
  std::vector<Entry<Key>> sorted(entries.size());
  for (size_t shift = 0; shift < 8 * sizeof(Key); shift += 8) {
    std::array<size_t, kDigits> begins{};
    for (const auto& entry : entries) ++begins[entry.key >> shift & (kDigits - 1)];
    if (std::ranges::find(begins, entries.size()) != begins.end()) continue;
    std::exclusive_scan(begins.begin(), begins.end(), begins.begin(), size_t(0));
    for (const auto& entry : entries) sorted[begins[entry.key >> shift & (kDigits - 1)]++] = entry;
    entries.swap(sorted);
  }
}

template <class T>
void sort_row(const Ordering& step, const Pointers<T>& at) {
  auto entries = entries_of<std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>>(step, at[1]);
  sort(entries);
  for (int64_t i = 0; i < step.length; ++i) at[0][i * step.result_stride] = T(entries[size_t(i)].place);
}

template <class T>
void order_row(const Ordering& step, const Pointers<T>& at) {
  if (step.order == expr::Reduction::ArgSort) return sort_row(step, at);
  const T* const x = at[1];
  const bool is_largest = step.order == expr::Reduction::ArgMax;
  T best = x[0];
  int64_t place = 0;
  for (int64_t i = 1; i < step.length && !std::isnan(best); ++i) {
    const T value = x[i * step.x_stride];
    if (std::isnan(value) || (is_largest ? value > best : value < best)) best = value, place = i;
  }
  at[0][0] = T(place);
}

}  // namespace

template <class T>
void run(const Selection& step, const Pointers<T>& at) {
  for (size_t k = 2; k < size_t(step.operands); ++k) require_exact<T>(step.lengths[k]);
  if (step.nest.empty()) return select_row(step, Loop{}, at);
  const Loop& outer = step.nest.front();
  bool is_parallel = !step.adds || outer.strides[0] != 0;  // what is added to must differ from row to row
  for (size_t k = 2; k < size_t(step.operands); ++k) is_parallel &= !step.adds || outer.strides[k] == 0;
  const size_t depth = step.nest.size() - 1;
  const Loop& last = step.nest.back();
  constexpr int64_t kRanges = 4;  // of which each goes through all indices
  if (step.adds && !is_parallel && step.operands == 3 && last.strides[2] == 0 && last.length >= kLeastTiled &&
      iterations(step.nest, step.nest.size()) >= kRanges * kElementsPerChunk) {
    const int64_t places = (step.lengths[2] + kRanges - 1) / kRanges;
    return threads::parallel_for(kRanges, [&](int64_t chunk) {
      const Range range{chunk * places, (chunk + 1) * places};
      for_each_position<T>(step.nest, depth, 1, false, at,
                           [&](const Pointers<T>& row) { select_row(step, last, row, range); });
    });
  }
  if (!step.adds || !is_parallel) {
    return for_each_position<T>(step.nest, depth, step.nest.back().length, is_parallel, at,
                                [&](const Pointers<T>& row) { select_row(step, step.nest.back(), row); });
  }
  const Nest inner(step.nest.begin() + 1, step.nest.end());
  const int64_t work = iterations(inner, inner.size());
  for_each_position<T>(step.nest, 1, work, true, at, [&](const Pointers<T>& slice) {
    if (inner.empty()) return select_row(step, Loop{}, slice);
    for_each_position<T>(inner, inner.size() - 1, 1, false, slice,
                         [&](const Pointers<T>& row) { select_row(step, inner.back(), row); });
  });
}

template <class T>
void run(const CumulativeSum& step, const Pointers<T>& at) {
  const bool has_columns = !step.rows.empty() && step.rows.back().strides[0] == 1 && step.rows.back().strides[1] == 1;
  const size_t depth = step.rows.size() - size_t(has_columns);
  const int64_t columns = has_columns ? step.rows.back().length : 1;
  const int64_t work = columns * (step.result_length + step.x_length);
  const auto& arithmetic = kernels::table<T>().arithmetic;
  for_each_position<T>(step.rows, depth, work, true, at, [&](const Pointers<T>& row) {
    if (columns == 1) {
      T sum = 0;
      walk(
          step, [&](int64_t j) { sum += row[1][j * step.x_stride]; },
          [&](int64_t i) { row[0][i * step.result_stride] = sum; });
      return;
    }
    std::vector<T> sums(size_t(columns), T(0));
    walk(
        step,
        [&](int64_t j) {
          arithmetic.combine(columns, 1, sums.data(), 1, 1, row[1] + j * step.x_stride, 1, sums.data());
        },
        [&](int64_t i) { std::copy_n(sums.data(), columns, row[0] + i * step.result_stride); });
  });
}

template <class T>
void run(const Ordering& step, const Pointers<T>& at) {
  constexpr int64_t kPerElement = 16;
  require_exact<T>(step.length);
  for_each_position<T>(step.rows, step.rows.size(), step.length * kPerElement, true, at,
                       [&](const Pointers<T>& row) { order_row(step, row); });
}

template void run(const Selection&, const Pointers<float>&);
template void run(const Selection&, const Pointers<double>&);
template void run(const CumulativeSum&, const Pointers<float>&);
template void run(const CumulativeSum&, const Pointers<double>&);
template void run(const Ordering&, const Pointers<float>&);
template void run(const Ordering&, const Pointers<double>&);

}  // namespace matgrad::plan
