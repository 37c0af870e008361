// Loops over labelled operands: their order, and which of them are one.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "plan/contract.h"
#include "plan/step.h"

namespace matgrad::plan {

/// A tensor over labels: where it starts, and its stride along each label, 0 where it doesn't depend on it.
struct Operand {
  Place place{};
  std::vector<int64_t> strides{};

  /// The labels on which it depends.
  Set labels() const;
};

using Lengths = std::vector<int64_t>;
using Operands = std::vector<const Operand*>;

/// The shortest loops that are worth running in tiles, or across.
constexpr int64_t kLeastTiled = 16;

/// Labels, sorted so that the strides of an operand descend.
std::vector<int> by_descending_stride(const Operand& operand, Set labels);

/// Loops over labels, outermost first, of which adjacent ones are joined where all operands' strides allow it.
Nest make_nest(const Lengths& lengths, const std::vector<int>& labels, const Operands& operands);

/// Joins labels of a set into longer ones where all operands' strides allow it; returns those that remain.
Set join_labels(Lengths& lengths, Set labels, const Operands& operands);

/// Moves the loop along which an operand other than the result is contiguous next to the innermost one, so that both
/// can run in tiles, if the innermost jumps through that operand. Returns whether there is one.
bool arrange_tiles(Nest& nest, int operands);

/// An elementwise step over the labels of the result, which is operands[0].
Elementwise elementwise(Elementwise step, const Lengths& lengths, const Operands& operands);

/// Calls visit(member) for the members of a set in ascending order.
template <class Visit>
void for_each_member(Set set, const Visit& visit) {
  for (; set != 0; set &= set - 1) visit(__builtin_ctzll(set));
}

}  // namespace matgrad::plan
