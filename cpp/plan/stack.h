// How a stack of problems is cut into chunks of work.
#pragma once

#include <algorithm>
#include <cstdint>

#include "plan/threads.h"

namespace matgrad {

/// Deals `problems` problems of `items` items each, in chunks of about `items_per_chunk` items that may span problems:
/// calls task(problem, first, last) for every run of items [first, last) of one problem within a chunk.
template <class Task>
void for_each_run(int64_t problems, int64_t items, int64_t items_per_chunk, const Task& task) {
  auto range = [&](int64_t at, int64_t end) {
    while (at < end) {
      const int64_t problem = at / items, first = at % items, last = std::min(items, first + end - at);
      task(problem, first, last);
      at += last - first;
    }
  };
  const int64_t total = problems * items;
  if (total <= items_per_chunk) return range(0, total);
  threads::parallel_ranges(total, std::max<int64_t>(items_per_chunk, 1), range);
}

}  // namespace matgrad
