// Where intermediate results are: memory is reused once what was in it isn't needed any more.
#include "plan/arena.h"

#include <algorithm>

namespace matgrad::plan {
namespace {

/// Elements [begin, end) of the memory.
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

Layout lay_out(const std::vector<Step*>& steps, const std::map<int, int64_t>& sizes) {
  std::map<int, size_t> last_use;
  for (size_t k = 0; k < steps.size(); ++k) {
    for_each_place(*steps[k], [&](Place& place) { last_use[place.buffer] = k; });
  }
  Layout layout;
  std::vector<Range> used;
  std::map<size_t, std::vector<Range>> ending;  // by the step after which they aren't needed
  for (size_t k = 0; k < steps.size(); ++k) {
    for_each_place(*steps[k], [&](Place& place) {
      const auto wanted = sizes.find(place.buffer);
      if (wanted == sizes.end() || layout.offsets.contains(place.buffer)) return;
      const int64_t size = (wanted->second + kAlignment - 1) / kAlignment * kAlignment;
      const int64_t begin = first_gap(used, size);
      const Range range{begin, begin + size};
      used.insert(std::ranges::upper_bound(used, begin, {}, &Range::begin), range);
      ending[last_use[place.buffer]].push_back(range);
      layout.size = std::max(layout.size, range.end);
      layout.offsets[place.buffer] = begin;
    });
    for (const Range& range : ending[k]) {
      std::erase_if(used, [&](const Range& other) { return other.begin == range.begin && other.end == range.end; });
    }
  }
  return layout;
}

void assign_places(Plan& plan, const std::vector<int64_t>& sizes, const std::map<int, Place>& places) {
  const int first = plan.buffers.first_intermediate();
  std::map<int, int64_t> wanted;
  for (size_t k = 0; k < sizes.size(); ++k) {
    if (!places.contains(first + int(k))) wanted[first + int(k)] = sizes[k];
  }
  std::vector<Step*> steps;
  for (Step& step : plan.steps) steps.push_back(&step);
  const Layout layout = lay_out(steps, wanted);
  plan.arena = layout.size;
  for (Step* step : steps) {
    for_each_place(*step, [&](Place& place) {
      if (place.buffer < first) return;
      const auto known = places.find(place.buffer);
      if (known != places.end()) {
        place = {known->second.buffer, known->second.offset + place.offset};
      } else {
        place = {plan.buffers.arena(), layout.offsets.at(place.buffer) + place.offset};
      }
    });
  }
}

}  // namespace matgrad::plan
