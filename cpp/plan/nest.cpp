// Loops over labelled operands: their order, and which of them are one.
#include "plan/nest.h"

#include <algorithm>
#include <cstdlib>

namespace matgrad::plan {

Set Operand::labels() const {
  Set labels = 0;
  for (size_t label = 0; label < strides.size(); ++label) labels |= Set(strides[label] != 0) << label;
  return labels;
}

std::vector<int> by_descending_stride(const Operand& operand, Set labels) {
  std::vector<int> sorted;
  for_each_member(labels, [&](int label) { sorted.push_back(label); });
  std::ranges::stable_sort(sorted, [&](int a, int b) {
    return std::abs(operand.strides[size_t(a)]) > std::abs(operand.strides[size_t(b)]);
  });
  return sorted;
}

Nest make_nest(const Lengths& lengths, const std::vector<int>& labels, const Operands& operands) {
  Nest nest;
  for (int label : labels) {
    Loop loop{.length = lengths[size_t(label)]};
    if (loop.length == 1) continue;
    for (size_t k = 0; k < operands.size(); ++k) loop.strides[k] = operands[k]->strides[size_t(label)];
    const bool joins = !nest.empty() && std::ranges::equal(nest.back().strides, loop.strides, {}, {},
                                                           [&](int64_t s) { return s * loop.length; });
    if (joins) {
      loop.length *= nest.back().length;
      nest.back() = loop;
    } else {
      nest.push_back(loop);
    }
  }
  return nest;
}

Set join_labels(Lengths& lengths, Set labels, const Operands& operands) {
  auto joins = [&](int outer, int inner) {
    return std::ranges::all_of(operands, [&](const Operand* operand) {
      return operand->strides[size_t(outer)] == operand->strides[size_t(inner)] * lengths[size_t(inner)];
    });
  };
  for (bool changed = true; changed;) {
    changed = false;
    for_each_member(labels, [&](int outer) {
      for_each_member(labels, [&](int inner) {
        if (changed || outer == inner || !joins(outer, inner)) return;
        lengths[size_t(inner)] *= lengths[size_t(outer)];
        labels &= ~(Set(1) << outer);
        changed = true;
      });
    });
  }
  return labels;
}

namespace {}  // namespace

bool arrange_tiles(Nest& nest, int operands) {
  if (nest.size() < 2 || nest.back().length < kLeastTiled) return false;
  for (int k = 1; k < operands; ++k) {
    if (std::abs(nest.back().strides[size_t(k)]) <= 1) continue;
    for (size_t loop = 0; loop + 1 < nest.size(); ++loop) {
      if (nest[loop].strides[size_t(k)] != 1 || nest[loop].length < kLeastTiled) continue;
      std::rotate(nest.begin() + ptrdiff_t(loop), nest.begin() + ptrdiff_t(loop) + 1, nest.end() - 1);
      return true;
    }
  }
  return false;
}

Elementwise elementwise(Elementwise step, const Lengths& lengths, const Operands& operands) {
  step.operands = int(operands.size());
  for (size_t k = 0; k < operands.size(); ++k) step.places[k] = operands[k]->place;
  step.nest = make_nest(lengths, by_descending_stride(*operands[0], operands[0]->labels()), operands);
  step.tiled = arrange_tiles(step.nest, step.operands);
  return step;
}

}  // namespace matgrad::plan
