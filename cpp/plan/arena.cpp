// Where intermediate results are: memory is reused once what was in it isn't needed any more.
#include "plan/arena.h"

#include <algorithm>

namespace matgrad::plan {
namespace {

/// Intermediate results begin at a multiple of this many elements: with a cache line.
constexpr int64_t kAlignment = 16;

template <class Visit>
void for_each_place(Step& step, const Visit& visit) {
  std::visit(
      [&](auto& known) {
        for (int k = 0; k < known.operands; ++k) visit(known.places[size_t(k)]);
      },
      step);
}

/// Elements [begin, end) of the arena.
struct Range {
  int64_t begin, end;
};

/// The first gap of that many elements between ranges in use, which are sorted.
int64_t first_gap(const std::vector<Range>& used, int64_t size) {
  int64_t begin = 0;
  for (const Range& range : used) {
    if (range.begin - begin >= size) break;
    begin = std::max(begin, range.end);
  }
  return begin;
}

}  // namespace

void assign_places(Plan& plan, const std::vector<int64_t>& sizes, std::map<int, Place> places) {
  const int arena = plan.buffers.arena();
  std::map<int, size_t> last_use;
  for (size_t k = 0; k < plan.steps.size(); ++k) {
    for_each_place(plan.steps[k], [&](Place& place) { last_use[place.buffer] = k; });
  }
  std::vector<Range> used;
  std::map<size_t, std::vector<Range>> ending;  // by the step after which they aren't needed
  for (size_t k = 0; k < plan.steps.size(); ++k) {
    for_each_place(plan.steps[k], [&](Place& place) {
      if (place.buffer < arena) return;
      const auto [known, is_new] = places.insert({place.buffer, {}});
      if (is_new) {
        const int64_t size = (sizes[size_t(place.buffer - arena)] + kAlignment - 1) / kAlignment * kAlignment;
        const int64_t begin = first_gap(used, size);
        const Range range{begin, begin + size};
        used.insert(std::ranges::upper_bound(used, begin, {}, &Range::begin), range);
        ending[last_use[place.buffer]].push_back(range);
        plan.arena = std::max(plan.arena, range.end);
        known->second = {arena, begin};
      }
      place = {known->second.buffer, known->second.offset + place.offset};
    });
    for (const Range& range : ending[k]) {
      std::erase_if(used, [&](const Range& other) { return other.begin == range.begin && other.end == range.end; });
    }
  }
}

}  // namespace matgrad::plan
