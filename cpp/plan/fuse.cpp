// Fusion of neighbouring steps into one, so that what one leaves for the other is never stored.
#include "plan/fuse.h"

#include <algorithm>
#include <optional>

namespace matgrad::plan {
namespace {

/// The strides of operand k of an elementwise step along the rows of a product that is its other operand, if the step
/// goes over that product as a matrix of these rows and columns, and both the result and operand k have unit stride
/// along columns; {result's, operand's}.
std::optional<std::pair<int64_t, int64_t>> row_strides(const Elementwise& sum, int product, int other,
                                                       const MatrixProduct& made) {
  const auto p = size_t(product), o = size_t(other);
  const Nest& nest = sum.nest;
  if (nest.size() == 1) {
    const Loop& all = nest[0];
    const bool is_matrix = all.length == made.rows * made.columns && (made.rows == 1 || made.ldc == made.columns);
    if (is_matrix && all.strides[0] == 1 && all.strides[p] == 1 && all.strides[o] == 1) {
      return std::pair(made.columns, made.columns);
    }
  } else if (nest.size() == 2) {
    const bool rows_first = nest[0].length == made.rows && nest[0].strides[p] == made.ldc;
    const bool matches = rows_first && nest[1].length == made.columns && nest[1].strides[p] == 1;
    if (matches && nest[1].strides[0] == 1 && nest[1].strides[o] == 1) {
      return std::pair(nest[0].strides[0], nest[0].strides[o]);
    }
  }
  return std::nullopt;
}

/// The product with a sum that it is a term of as one step, if the kernel for products can do it.
std::optional<TiledStep> fused(const TiledStep& product, const TiledStep& following) {
  const auto* made = std::get_if<MatrixProduct>(&product.step);
  const auto* sum = std::get_if<Elementwise>(&following.step);
  if (made == nullptr || sum == nullptr || sum->op != RowOp::Combine || made->shift != 0 || made->symmetric ||
      !made->batch.empty()) {
    return std::nullopt;
  }
  for (const int k : {1, 2}) {
    const int other = 3 - k;
    const bool reads_it = sum->places[size_t(k)] == made->places[0] && sum->places[size_t(other)] != made->places[0];
    const auto strides = reads_it ? row_strides(*sum, k, other, *made) : std::nullopt;
    if (!strides) continue;
    MatrixProduct step = *made;
    step.operands = std::max(step.operands, 4);
    step.scale *= k == 1 ? sum->a : sum->b;
    step.shift = k == 1 ? sum->b : sum->a;
    step.places[0] = sum->places[0];
    step.places[3] = sum->places[size_t(other)];
    std::tie(step.ldc, step.ldd) = *strides;
    TiledStep result{.step = step, .advance = product.advance};
    for (size_t level = 0; level < kMostLevels; ++level) {
      result.advance[level][0] = following.advance[level][0];
      result.advance[level][3] = following.advance[level][size_t(other)];
    }
    if (step.shift != 0) return result;
  }
  return std::nullopt;
}

}  // namespace

void fuse(std::vector<TiledStep>& steps, const std::map<int, int>& uses) {
  for (size_t k = 0; k + 1 < steps.size(); ++k) {
    const auto* product = std::get_if<MatrixProduct>(&steps[k].step);
    if (product == nullptr || uses.at(product->places[0].buffer) != 2) continue;
    const auto joined = fused(steps[k], steps[k + 1]);
    if (!joined) continue;
    steps[k] = *joined;
    steps.erase(steps.begin() + ptrdiff_t(k) + 1);
  }
}

}  // namespace matgrad::plan
