// How long vectors, and stacks of short ones, are cut into chunks of work.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "plan/threads.h"

namespace matgrad {

/// Elements of vectors that are a chunk of work, and elements of a matrix that is only written: 10 µs or more.
constexpr int64_t kElementsPerChunk = 1 << 15;
constexpr int64_t kWrittenPerChunk = 1 << 17;

/// How many problems, or rows, of that many elements each are a chunk of work.
inline int64_t problems_per_chunk(int64_t elements, int64_t elements_per_chunk = kElementsPerChunk) {
  constexpr int64_t kOverhead = 16;  // the start of a kernel takes as long as this many elements
  return std::max<int64_t>(1, elements_per_chunk / (elements + kOverhead));
}

/// Whether a result of that many elements is written past the cache. Measured with 32 MiB of cache: twice as fast for
/// 64 MiB and 1.2 times for 32 MiB, but slower by half for 16 MiB and three times slower for 8 MiB or less.
template <class T>
bool is_streamed(int64_t elements) {
  return elements * int64_t(sizeof(T)) >= 24 << 20;
}

/// Reduces [0, n): the results of part(first, last) over chunks of that many elements, joined in order.
template <class Part, class Join>
auto reduce_ranges(int64_t n, int64_t grain, const Part& part, const Join& join) {
  if (n <= grain) return part(0, n);
  std::vector<decltype(part(0, n))> parts((n + grain - 1) / grain);
  threads::parallel_ranges(n, grain, [&](int64_t first, int64_t last) { parts[first / grain] = part(first, last); });
  for (size_t k = 1; k < parts.size(); ++k) parts[0] = join(parts[0], parts[k]);
  return parts[0];
}
template <class Part, class Join>
auto reduce_ranges(int64_t n, const Part& part, const Join& join) {
  return reduce_ranges(n, kElementsPerChunk, part, join);
}

}  // namespace matgrad
