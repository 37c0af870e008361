// The loops of a step, seen alike for all kinds of steps, so that one of them can be cut into tiles.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "plan/step.h"

namespace matgrad::plan {

/// A loop of a step, and the distance between neighbours along it in each operand.
struct Axis {
  int64_t length = 1;
  std::array<int64_t, kMaxOperands> strides{};
  bool summed = false;    ///< whether the result is a sum over it
  bool is_whole = false;  ///< whether it can't be cut
};

/// The loops of a step; none for a step that needs its operands whole.
std::vector<Axis> axes_of(const Step& step);

/// Where the operands of a step are, the first of which is written.
std::vector<Place*> places_of(Step& step);

/// How many of the operands of a step are written, the first ones.
int written_by(const Step& step);

/// A step and a loop that it can be cut along into tiles of a streamed index.
struct Cut {
  Step step{};
  size_t axis = 0;
  int64_t per_unit = 1;                         ///< iterations of the loop for each value of the index
  std::array<int64_t, kMaxOperands> advance{};  ///< elements of each operand for each value of the index
  bool summed = false;
};

/// All ways to cut a step along an index of that length, other than the one that it is cut along already; those that
/// keep the index in the result come first.
std::vector<Cut> cuts_of(const TiledStep& tiled, int64_t length);

/// Whether operand k of a cut step stays, for each value of the index, within the `unit` elements that belong to it in
/// a buffer in which the index of that length has that stride.
bool stays_within_unit(const Cut& cut, int k, int64_t length);

/// The cut step for `count` values of an index of that length.
Step for_tile(const Cut& cut, int64_t count);

/// Moves operand k of a step into a buffer that holds `count` of the `length` values of the streamed index, along which
/// it had that stride.
void compact(Step& step, int k, int64_t stride, int64_t length, int64_t count);

/// Joins loops that are one after compacting operands.
void join_loops(Step& step);

/// Elements of operand k that a step touches, about.
int64_t elements_touched(const Step& step, int k);

/// A step that sets to zero what a step adds to.
Elementwise fill_of(const Step& step);

/// Whether a step adds to its result.
bool is_accumulated(const Step& step);

/// Makes a step add to its result.
void accumulate(TiledStep& step);

}  // namespace matgrad::plan
