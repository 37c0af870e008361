// The loops of a step, seen alike for all kinds of steps, so that one of them can be cut into tiles.
#include "plan/axes.h"

#include <algorithm>
#include <cstdlib>
#include <type_traits>

#include "plan/nest.h"

namespace matgrad::plan {
namespace {

/// A loop of a step where it is, so that it can be changed. Strides that a kind of step takes for granted are null.
struct Reference {
  int64_t* length;
  std::array<int64_t*, kMaxOperands> strides{};
  Axis values{};         ///< with the strides that are taken for granted
  Nest* nest = nullptr;  ///< that the loop is part of, which can be split
  size_t loop = 0;       ///< its position in the nest
};

void add_nest(std::vector<Reference>& references, Nest& nest, bool summed) {
  for (size_t k = 0; k < nest.size(); ++k) {
    Loop& loop = nest[k];
    Reference& made = references.emplace_back(Reference{.length = &loop.length, .nest = &nest, .loop = k});
    made.values = {loop.length, loop.strides, summed};
    for (size_t operand = 0; operand < kMaxOperands; ++operand) made.strides[operand] = &loop.strides[operand];
  }
}

struct References {
  std::vector<Reference> found{};

  void operator()(Elementwise& step) { add_nest(found, step.nest, false); }
  void operator()(SumOfProducts& step) {
    add_nest(found, step.kept, false);
    add_nest(found, step.summed, true);
  }
  void operator()(MatrixProduct& step) {
    const size_t first = found.size();
    found.push_back({&step.rows, {&step.ldc, &step.a_row}, {step.rows, {step.ldc, step.a_row}}});
    found.push_back({&step.columns, {nullptr, nullptr, &step.b_column}, {step.columns, {1, 0, step.b_column}}});
    found.push_back({&step.k,
                     {nullptr, &step.a_column, &step.b_row, nullptr, &step.d_step},
                     {step.k, {0, step.a_column, step.b_row, 0, step.d_step}, true}});
    found[first].values.is_whole = found[first + 1].values.is_whole = step.symmetric;
    add_nest(found, step.batch, false);
    add_nest(found, step.summed, true);
    const bool has_shift = step.shift != 0;
    if (has_shift) found[first].strides[3] = &step.ldd;
    for (size_t k = first; k < found.size(); ++k) {
      Axis& axis = found[k].values;
      // Where there is no D, C stands in its place.
      if (!has_shift) axis.strides[3] = axis.strides[0];
      if (has_shift && k == first) axis.strides[3] = step.ldd;
      if (has_shift && k == first + 1) axis.strides[3] = 1;
      if (!has_shift) found[k].strides[3] = nullptr;
      axis.is_whole |= axis.summed && has_shift && step.places[3] != step.places[0];
    }
  }
  void operator()(SymmetricProduct& step) { add_nest(found, step.batch, false); }
  void operator()(SymmetricSum& step) { add_nest(found, step.batch, false); }
  void operator()(RowReduction& step) {
    add_nest(found, step.reduced, false);
    for (Reference& reference : found) reference.values.is_whole = true;
    add_nest(found, step.kept, false);
  }
  void operator()(Softmax& step) {
    found.push_back({.length = &step.length, .values = {step.length, {1, 1}}});
    found[0].values.is_whole = true;
    add_nest(found, step.rows, false);
  }
  template <class Other>
  void operator()(Other&) {}
};

std::vector<Reference> references_of(Step& step) {
  References references;
  std::visit([&](auto& known) { references(known); }, step);
  return std::move(references.found);
}

/// Splits a loop of a nest into two, the inner one of that length.
void split(const Reference& axis, int64_t inner_length) {
  Loop outer = (*axis.nest)[axis.loop], inner = outer;
  outer.length /= inner_length;
  for (int64_t& stride : outer.strides) stride *= inner_length;
  inner.length = inner_length;
  (*axis.nest)[axis.loop] = outer;
  axis.nest->insert(axis.nest->begin() + ptrdiff_t(axis.loop) + 1, inner);
}

void join(Nest& nest) {
  Nest joined;
  for (const Loop& loop : nest) {
    const bool joins = !joined.empty() && std::ranges::equal(joined.back().strides, loop.strides, {}, {},
                                                             [&](int64_t s) { return s * loop.length; });
    if (!joins && loop.length != 1) {
      joined.push_back(loop);
    } else if (joins) {
      const int64_t length = joined.back().length * loop.length;
      joined.back() = loop;
      joined.back().length = length;
    }
  }
  nest = std::move(joined);
}

}  // namespace

std::vector<Axis> axes_of(const Step& step) {
  Step copy = step;
  std::vector<Axis> axes;
  for (const Reference& reference : references_of(copy)) axes.push_back(reference.values);
  return axes;
}

std::vector<Place*> places_of(Step& step) {
  std::vector<Place*> places;
  std::visit(
      [&](auto& known) {
        for (int k = 0; k < known.operands; ++k) places.push_back(&known.places[size_t(k)]);
      },
      step);
  return places;
}

int written_by(const Step& step) {
  if (const auto* decompose = std::get_if<Decompose>(&step)) return decompose->operands;
  return std::holds_alternative<Pass>(step) ? 0 : std::holds_alternative<Factorize>(step) ? 2 : 1;
}

std::vector<Cut> cuts_of(const TiledStep& tiled, int64_t length) {
  std::vector<Cut> cuts;
  auto add = [&](Cut cut, const Axis& axis, int64_t per_unit) {
    cut.per_unit = per_unit;
    cut.summed = axis.summed;
    for (size_t k = 0; k < kMaxOperands; ++k) cut.advance[k] = axis.strides[k] * per_unit;
    cuts.push_back(std::move(cut));
  };
  Cut whole{.step = tiled.step};
  const size_t count = references_of(whole.step).size();
  for (size_t k = 0; k < count; ++k) {
    const Reference axis = references_of(whole.step)[k];
    if (int(k) == tiled.axis || axis.values.is_whole || axis.values.length % length != 0 || axis.values.length == 0)
      continue;
    whole.axis = k;
    add(whole, axis.values, axis.values.length / length);
    if (axis.values.length == length || axis.nest == nullptr) continue;
    Cut inner = whole;
    split(references_of(inner.step)[k], length);
    inner.axis = k + 1;
    add(inner, axis.values, 1);
  }
  std::ranges::stable_sort(cuts, {}, &Cut::summed);
  return cuts;
}

bool stays_within_unit(const Cut& cut, int k, int64_t length) {
  Step step = cut.step;
  const auto operand = size_t(k);
  const int64_t unit = cut.advance[operand], all = unit * length;
  if (unit <= 0 || places_of(step)[operand]->offset != 0) return false;
  int64_t span = 0;
  const auto axes = axes_of(step);
  for (size_t axis = 0; axis < axes.size(); ++axis) {
    const int64_t stride = axes[axis].strides[operand], count = axis == cut.axis ? cut.per_unit : axes[axis].length;
    if (stride < 0) return false;
    if (stride >= all && stride % all == 0) continue;
    span += (count - 1) * stride;
  }
  return span < unit;
}

Step for_tile(const Cut& cut, int64_t count) {
  Step step = cut.step;
  *references_of(step)[cut.axis].length = count * cut.per_unit;
  return step;
}

void compact(Step& step, int k, int64_t stride, int64_t length, int64_t count) {
  for (const Reference& axis : references_of(step)) {
    int64_t* own = axis.strides[size_t(k)];
    if (own != nullptr && *own >= stride * length) *own = *own / (stride * length) * (stride * count);
  }
}

void join_loops(Step& step) {
  if (auto* elementwise = std::get_if<Elementwise>(&step)) {
    join(elementwise->nest);
    elementwise->tiled = arrange_tiles(elementwise->nest, elementwise->operands);
  } else if (auto* sum = std::get_if<SumOfProducts>(&step)) {
    join(sum->kept);
    join(sum->summed);
    sum->by_dots |= sum->kept.empty();
  }
}

int64_t elements_touched(const Step& step, int k) {
  int64_t count = 1;
  for (const Axis& axis : axes_of(step)) {
    if (axis.strides[size_t(k)] != 0) count *= axis.length;
  }
  return count;
}

bool is_accumulated(const Step& step) {
  if (const auto* sum = std::get_if<SumOfProducts>(&step)) return sum->accumulate;
  const auto* product = std::get_if<MatrixProduct>(&step);
  return product != nullptr && product->shift == 1 && product->places[3] == product->places[0];
}

void accumulate(TiledStep& tiled) {
  if (auto* sum = std::get_if<SumOfProducts>(&tiled.step)) sum->accumulate = true;
  if (auto* product = std::get_if<MatrixProduct>(&tiled.step)) {
    product->operands = std::max(product->operands, 4);
    product->shift = 1;
    product->places[3] = product->places[0];
    product->ldd = product->ldc;
    for (Loop& loop : product->batch) loop.strides[3] = loop.strides[0];
    for (auto& advance : tiled.advance) advance[3] = advance[0];
  }
}

Elementwise fill_of(const Step& step) {
  Step copy = step;
  Elementwise fill{.op = RowOp::Fill, .a = 0};
  fill.places[0] = *places_of(copy)[0];
  for (const Axis& axis : axes_of(step)) {
    if (axis.strides[0] == 0 || axis.length == 1) continue;
    Loop& loop = fill.nest.emplace_back();
    loop.length = axis.length;
    loop.strides[0] = axis.strides[0];
  }
  std::ranges::stable_sort(fill.nest, [](const Loop& a, const Loop& b) { return a.strides[0] > b.strides[0]; });
  join(fill.nest);
  return fill;
}

}  // namespace matgrad::plan
