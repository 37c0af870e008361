// Which steps can run as one pass over tiles of an index.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "plan/axes.h"
#include "plan/step.h"

namespace matgrad::plan {

/// Steps that can run as one pass over an index of that length.
struct Group {
  struct Member {
    size_t position = 0;  ///< among the steps
    Cut cut{};
  };
  int64_t length = 0;
  std::vector<Member> members{};
  std::set<size_t> before{};          ///< positions of steps between members that run before all of them
  std::map<int, int64_t> streamed{};  ///< buffers that members write, and their elements for each value of the index
  std::set<int> summed{};             ///< buffers that are sums over the index
  std::set<int> local{};              ///< streamed buffers of which a tile is all that is ever needed
  double saved = 0;                   ///< elements that needn't be read or written
};

/// The buffers of a step's operands.
std::vector<int> buffers_of(const Step& step);

/// The group of steps that saves most, of those that are accepted; nothing if there is none. `uses` counts the uses of
/// each buffer by these steps and others.
std::optional<Group> best_group(const std::vector<TiledStep>& steps, const std::map<int, int>& uses,
                                const std::function<bool(const Group&)>& accept);

}  // namespace matgrad::plan
