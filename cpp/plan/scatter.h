// Scattering cores over tensors that are zero elsewhere.
#pragma once

#include <cstdint>

#include "kernels/dispatch.h"
#include "plan/stack.h"

namespace matgrad {

/// Writes a stack of tensors of `size` elements each, which are zero but for their cores, in chunks of work:
/// cores_of(problem) is an array of kernels::Scattered<T>, result_of(problem) where the tensor is. Results of at least
/// kStreamingBytes are written past the cache. Measured with 32 MiB of cache: as fast for 8 MiB, 1.6 times for 20 MiB,
/// three times for 128 MiB. Zeros stream faster than numbers, so this is less than is_streamed.
template <class T, class CoresOf, class ResultOf>
void scatter(int64_t problems, int64_t size, const CoresOf& cores_of, const ResultOf& result_of) {
  constexpr int64_t kChunkBytes = 1 << 19, kStreamingBytes = 12 << 20, kElement = sizeof(T);
  const bool streaming = problems * size * kElement >= kStreamingBytes;
  const auto& kernel = kernels::table<T>().jacobian;
  for_each_run(problems, size, kChunkBytes / kElement, [&](int64_t problem, int64_t first, int64_t last) {
    const auto& cores = cores_of(problem);
    kernel.scatter(streaming, first, last, int(cores.size()), cores.data(), result_of(problem));
  });
}

}  // namespace matgrad
