// Streaming: neighbouring steps become one pass over tiles of an index that they share, so that what they leave for
// each other stays in the cache, and what is summed over the index is never held as a whole.
#pragma once

#include <map>
#include <vector>

#include "plan/step.h"

namespace matgrad::plan {

/// What is worth a pass, in elements.
struct StreamLimits {
  int64_t saved = int64_t(1) << 15;  ///< that a pass needn't read or write, at least
  int64_t tile = int64_t(1) << 15;   ///< that a tile keeps in the cache, about
  int64_t chunk = int64_t(1) << 17;  ///< that are read and written in a chunk, at least; 16 flops count as one
};

/// The limits for plans that are made from now on; results don't depend on them but for rounding.
StreamLimits stream_limits();
void set_stream_limits(const StreamLimits& limits);

/// Groups the steps of a plan, whose intermediate buffers have these sizes, into passes. Buffers in `results` are
/// wanted in the end. Adds to `sizes` the buffers that passes need.
void stream(Plan& plan, std::vector<int64_t>& sizes, const std::map<int, Place>& results);

}  // namespace matgrad::plan
