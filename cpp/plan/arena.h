// Where intermediate results are: memory is reused once what was in it isn't needed any more.
#pragma once

#include <map>
#include <vector>

#include "plan/step.h"

namespace matgrad::plan {

/// Intermediate results begin at a multiple of this many elements: with a cache line.
constexpr int64_t kAlignment = 16;

/// Calls visit(place) for all places of a step, those of the steps within it, too.
template <class Visit>
void for_each_place(Step& step, const Visit& visit) {
  std::visit(
      [&](auto& known) {
        for (int k = 0; k < known.operands; ++k) visit(known.places[size_t(k)]);
      },
      step);
  if (auto* pass = std::get_if<Pass>(&step)) {
    for (auto* steps : {&pass->body, &pass->last}) {
      for (TiledStep& inner : *steps) for_each_place(inner.step, visit);
    }
    for (Pass::Sum& sum : pass->sums) visit(sum.target);
  }
}

/// The offsets in one memory of the buffers that steps use, of the given sizes, and how much memory that is. A buffer
/// takes its memory from the first step that uses it to the last one.
struct Layout {
  std::map<int, int64_t> offsets{};
  int64_t size = 0;
};
Layout lay_out(const std::vector<Step*>& steps, const std::map<int, int64_t>& sizes);

/// Replaces the intermediate buffers in a plan's steps, of the given sizes, by parts of one arena, or by the places
/// that are given for some.
void assign_places(Plan& plan, const std::vector<int64_t>& sizes, const std::map<int, Place>& places);

}  // namespace matgrad::plan
