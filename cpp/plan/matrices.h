// Stacks of matrices, dealt to threads where they are small.
#pragma once

#include <cstdint>

#include "plan/chunks.h"
#include "plan/threads.h"

namespace matgrad::plan {

/// The largest matrices that are dealt to threads; LAPACK itself uses several for larger ones.
constexpr int64_t kLargestDealt = 64;

/// Calls task(p) for all matrices of a stack.
template <class Task>
void for_each_matrix(int64_t count, int64_t n, const Task& task) {
  if (n > kLargestDealt) {
    for (int64_t p = 0; p < count; ++p) task(p);
    return;
  }
  threads::parallel_ranges(count, problems_per_chunk(n * n * n / 4), [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p) task(p);
  });
}

}  // namespace matgrad::plan
