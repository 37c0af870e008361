// Fusion of neighbouring steps into one, so that what one leaves for the other is never stored.
#include "plan/fuse.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "expr/op.h"
#include "plan/axes.h"
#include "plan/group.h"

namespace matgrad::plan {
namespace {

using Fused = std::optional<TiledStep>;

/// Operand k of a step takes the place of operand `other` of another step, with its strides being the same.
void take_place(TiledStep& tiled, size_t k, const TiledStep& from, size_t other) {
  TiledStep copy = from;
  *places_of(tiled.step)[k] = *places_of(copy.step)[other];
  for (size_t level = 0; level < kMostLevels; ++level) tiled.advance[level][k] = from.advance[level][other];
}

/// Whether operands of an elementwise step have the same strides.
bool are_alike(const Elementwise& step, size_t a, size_t b) {
  return std::ranges::all_of(step.nest, [&](const Loop& loop) { return loop.strides[a] == loop.strides[b]; });
}

/// The number that operand k of a step is multiplied by, or null if it's multiplied by none. The result is operand 0.
double* multiplier(Step& step, size_t k) {
  if (auto* sum = std::get_if<SumOfProducts>(&step)) return &sum->scale;
  if (auto* product = std::get_if<MatrixProduct>(&step)) {
    if (k == 3) return &product->shift;
    return k > 0 || product->shift == 0 ? &product->scale : nullptr;
  }
  auto* elementwise = std::get_if<Elementwise>(&step);
  if (elementwise == nullptr) return nullptr;
  switch (elementwise->op) {
    case RowOp::Scale:
    case RowOp::Multiply:
    case RowOp::Fill:
      return &elementwise->a;
    case RowOp::Combine:
      return k == 1 ? &elementwise->a : k == 2 ? &elementwise->b : nullptr;
    default:
      return nullptr;
  }
}

const Elementwise* as_scaling(const TiledStep& tiled) {
  const auto* step = std::get_if<Elementwise>(&tiled.step);
  return step != nullptr && step->op == RowOp::Scale && are_alike(*step, 0, 1) ? step : nullptr;
}

/// b = f(…), c = a b: c = a f(…).
Fused scaled_after(const TiledStep& first, const TiledStep& second) {
  const Elementwise* scaling = as_scaling(second);
  TiledStep result = first;
  double* number = scaling != nullptr && !is_accumulated(result.step) ? multiplier(result.step, 0) : nullptr;
  Step copy = second.step;
  auto* elementwise = std::get_if<Elementwise>(&result.step);
  const bool is_sum = scaling != nullptr && elementwise != nullptr && elementwise->op == RowOp::Combine;
  if ((number == nullptr && !is_sum) || places_of(copy)[1]->offset != places_of(result.step)[0]->offset ||
      elements_touched(copy, 1) != elements_touched(result.step, 0)) {
    return std::nullopt;
  }
  if (is_sum) {
    elementwise->a *= scaling->a;
    elementwise->b *= scaling->a;
  } else {
    *number *= scaling->a;
  }
  take_place(result, 0, second, 0);
  return result;
}

/// b = a x, c = f(b, …): c = f(a x, …).
Fused scaled_before(const TiledStep& first, const TiledStep& second) {
  const Elementwise* scaling = as_scaling(first);
  if (scaling == nullptr) return std::nullopt;
  TiledStep result = second;
  const std::vector<int> buffers = buffers_of(second.step);
  const auto k =
      size_t(std::ranges::find(buffers.begin() + 1, buffers.end(), scaling->places[0].buffer) - buffers.begin());
  double* number = k < buffers.size() ? multiplier(result.step, k) : nullptr;
  if (number == nullptr || places_of(result.step)[k]->offset != scaling->places[0].offset) return std::nullopt;
  *number *= scaling->a;
  take_place(result, k, first, 1);
  return result;
}

/// The strides of the result and of operand `other` of an elementwise step along the rows of a product that is its
/// operand k, if the step goes over the product as a matrix, and all have unit stride along columns.
std::optional<std::pair<int64_t, int64_t>> row_strides(const Elementwise& sum, size_t k, size_t other,
                                                       const MatrixProduct& made) {
  const Nest& nest = sum.nest;
  auto has_unit_strides = [&](const Loop& loop) {
    return loop.strides[0] == 1 && loop.strides[k] == 1 && loop.strides[other] == 1;
  };
  if (nest.size() == 1 && has_unit_strides(nest[0]) && nest[0].length == made.rows * made.columns &&
      (made.rows == 1 || made.ldc == made.columns)) {
    return std::pair(made.columns, made.columns);
  }
  if (nest.size() == 2 && has_unit_strides(nest[1]) && nest[1].length == made.columns && nest[0].length == made.rows &&
      nest[0].strides[k] == made.ldc) {
    return std::pair(nest[0].strides[0], nest[0].strides[other]);
  }
  return std::nullopt;
}

/// C = A B, c = a C + b D: c = a A B + b D.
Fused added_after(const TiledStep& first, const TiledStep& second) {
  const auto* made = std::get_if<MatrixProduct>(&first.step);
  const auto* sum = std::get_if<Elementwise>(&second.step);
  const bool can_add = made != nullptr && made->shift == 0 && !made->symmetric && made->batch.empty();
  if (!can_add || sum == nullptr || sum->op != RowOp::Combine) return std::nullopt;
  for (const size_t k : {size_t(1), size_t(2)}) {
    const size_t other = 3 - k;
    const double shift = k == 1 ? sum->b : sum->a;
    const bool reads_once = sum->places[k] == made->places[0] && sum->places[other].buffer != made->places[0].buffer;
    const auto strides = reads_once && shift != 0 ? row_strides(*sum, k, other, *made) : std::nullopt;
    if (!strides) continue;
    TiledStep result = first;
    auto& step = std::get<MatrixProduct>(result.step);
    step.operands = std::max(step.operands, 4);
    step.scale *= k == 1 ? sum->a : sum->b;
    step.shift = shift;
    std::tie(step.ldc, step.ldd) = *strides;
    take_place(result, 0, second, 0);
    take_place(result, 3, second, other);
    return result;
  }
  return std::nullopt;
}

/// The step after which a buffer is next used, if what its producer reads stays as it is until then; else the end.
size_t next_use(const std::vector<TiledStep>& steps, size_t producer, int buffer) {
  const std::vector<int> needed = buffers_of(steps[producer].step);
  for (size_t k = producer + 1; k < steps.size(); ++k) {
    const std::vector<int> buffers = buffers_of(steps[k].step);
    if (std::ranges::find(buffers, buffer) != buffers.end()) return k;
    const bool is_pass = std::holds_alternative<Pass>(steps[k].step);
    if (is_pass || std::ranges::find(needed, buffers[0]) != needed.end()) break;
  }
  return steps.size();
}

using Rule = Fused (*)(const TiledStep& first, const TiledStep& second);

/// Applies rules to each step whose result is used by one other step only.
void apply(std::vector<TiledStep>& steps, const std::map<int, int>& uses, std::initializer_list<Rule> rules) {
  for (size_t k = 0; k + 1 < steps.size();) {
    const std::vector<int> buffers = buffers_of(steps[k].step);
    const bool is_used_once = !std::holds_alternative<Pass>(steps[k].step) && uses.at(buffers[0]) == 2;
    const size_t next = is_used_once ? next_use(steps, k, buffers[0]) : steps.size();
    Fused fused;
    for (const Rule rule : rules) {
      if (next < steps.size() && !fused) fused = rule(steps[k], steps[next]);
    }
    if (fused) {
      steps[next] = *fused;
      steps.erase(steps.begin() + ptrdiff_t(k));
      k = k > 0 ? k - 1 : 0;
    } else {
      ++k;
    }
  }
}

/// The softmax that a reduction, a difference and exponentials make; nothing if they make none.
std::optional<Softmax> as_softmax(const Step& first, const Step& second, const Step& third) {
  constexpr int64_t kShortest = 32;  // shorter rows are better reduced side by side
  const auto* reduction = std::get_if<RowReduction>(&first);
  const auto* difference = std::get_if<Elementwise>(&second);
  const auto* exponentials = std::get_if<Elementwise>(&third);
  const bool are_steps = reduction != nullptr && reduction->reduction == expr::Reduction::LogSumExp &&
                         difference != nullptr && difference->op == RowOp::Combine && exponentials != nullptr &&
                         exponentials->op == RowOp::Map && exponentials->function->name == std::string_view("exp");
  if (!are_steps || !are_alike(*exponentials, 0, 1) || exponentials->places[1] != difference->places[0] ||
      elements_touched(second, 0) != elements_touched(third, 1)) {
    return std::nullopt;
  }
  const size_t x = difference->a == 1 ? 1 : 2;
  const bool is_difference = difference->places[x] == reduction->places[1] &&
                             difference->places[3 - x] == reduction->places[0] && difference->a + difference->b == 0 &&
                             std::abs(difference->a) == 1;
  if (!is_difference || difference->tiled || difference->nest.empty() || reduction->reduced.size() != 1 ||
      reduction->kept.size() + 1 != difference->nest.size()) {
    return std::nullopt;
  }
  const Loop &row = difference->nest.back(), &reduced = reduction->reduced[0];
  if (row.length < kShortest || row.length != reduced.length || reduced.strides[1] != 1 || row.strides[0] != 1 ||
      row.strides[x] != 1 || row.strides[3 - x] != 0) {
    return std::nullopt;
  }
  Softmax softmax{.length = row.length, .places = {exponentials->places[0], reduction->places[1]}};
  for (size_t k = 0; k < reduction->kept.size(); ++k) {
    const Loop &kept = reduction->kept[k], &loop = difference->nest[k];
    if (kept.length != loop.length || kept.strides[0] != loop.strides[3 - x] || kept.strides[1] != loop.strides[x]) {
      return std::nullopt;
    }
    softmax.rows.push_back({loop.length, {loop.strides[0], loop.strides[x]}});
  }
  return softmax;
}

}  // namespace

void fuse_before_passes(std::vector<TiledStep>& steps, const std::map<int, int>& uses) {
  apply(steps, uses, {scaled_after, scaled_before});
  for (size_t k = 0; k + 2 < steps.size(); ++k) {
    if (!std::holds_alternative<RowReduction>(steps[k].step)) continue;
    const int logarithm = buffers_of(steps[k].step)[0];
    const size_t second = uses.at(logarithm) == 2 ? next_use(steps, k, logarithm) : steps.size();
    if (second == steps.size()) continue;
    const int difference = buffers_of(steps[second].step)[0];
    const size_t third = uses.at(difference) == 2 ? next_use(steps, second, difference) : steps.size();
    if (third == steps.size()) continue;
    const auto softmax = as_softmax(steps[k].step, steps[second].step, steps[third].step);
    if (!softmax) continue;
    steps[third].step = *softmax;
    steps.erase(steps.begin() + ptrdiff_t(second));
    steps.erase(steps.begin() + ptrdiff_t(k));
  }
}

void fuse(std::vector<TiledStep>& steps, const std::map<int, int>& uses) {
  apply(steps, uses, {scaled_after, scaled_before, added_after});
}

}  // namespace matgrad::plan
