// Products with selections. A Gather selects from the tensors that have its last label, or adds up over its others; a
// Triangle sums cumulatively; neither is stored, unless nothing else will do.
#include <algorithm>
#include <functional>
#include <utility>

#include "expr/build.h"
#include "plan/lower.h"

namespace matgrad::plan {

using namespace expr;

namespace {

/// The most selections that one step makes.
constexpr size_t kMostIndices = kMaxOperands - 2;

bool has_label(const ProductFactor& factor, char label) {
  return factor.labels.find(label) != Labels::npos;
}

bool is_tensor(const ProductFactor& factor) {
  return !factor.identity && !factor.selection;
}

/// A tensor over all labels of a product.
Operand over_labels(const View& view, const Labels& labels, size_t count) {
  Operand operand{view.place, std::vector<int64_t>(count, 0)};
  for (size_t axis = 0; axis < view.shape.size(); ++axis) {
    operand.strides[uint8_t(labels[axis])] += view.strides[axis];
  }
  return operand;
}

/// A product whose selections are taken out one by one.
class Selecting {
 public:
  Selecting(Lowering& lowering, std::vector<ProductFactor> factors, size_t ndim, std::vector<int64_t> lengths)
      : lowering_(lowering), factors_(std::move(factors)), ndim_(ndim), lengths_(std::move(lengths)) {
    repetitions_ = drop_unused_labels();
  }

  /// Leaves tensors, identities, and gathers whose last label is one of the result's and nothing else's.
  void resolve() {
    while (advance()) {
    }
    std::erase_if(factors_, [&](const ProductFactor& factor) {
      if (!factor.selection) return false;
      scattered_.push_back(factor);
      return true;
    });
    while (scattered_.size() > kMostIndices) {
      factors_.push_back(dense(scattered_.back()));
      scattered_.pop_back();
    }
    drop_unused_labels();
  }

  /// By what the product is to be multiplied, because it is summed over labels that no factor has.
  double repetitions() const { return repetitions_; }
  bool scatters() const { return !scattered_.empty(); }
  const std::vector<ProductFactor>& factors() const { return factors_; }
  const std::vector<int64_t>& lengths() const { return lengths_; }

  /// target += coefficient Π factors, the target's last labels being those that the gathers give.
  void scatter(double coefficient, const View& target) {
    bool is_empty = element_count(target.shape) == 0;
    for (const ProductFactor& gather : scattered_) {
      for (char label : gather.labels) is_empty |= lengths_[uint8_t(label)] == 0;
    }
    if (is_empty) return;
    Operand x;
    if (factors_.empty()) {
      x = {lowering_.number(coefficient, {}).place, std::vector<int64_t>(lengths_.size(), 0)};
    } else {
      const ProductFactor product = joined(lowering_, coefficient, factors_, ndim_, scattered_, lengths_);
      x = over_labels(product.view, product.labels, lengths_.size());
    }
    Operand to = over_labels(target, labels_from(0, int(ndim_)), lengths_.size());
    Selection step{.adds = true};
    std::vector<Operand> indices;
    Operand order = to;  // with what indices step along as their strides
    for (const ProductFactor& gather : scattered_) {
      const auto given = uint8_t(gather.labels.back());
      note_index(step, indices, gather, to.strides[given], lengths_[given], order);
      to.strides[given] = order.strides[given] = 0;
    }
    emit(std::move(step), to, x, indices, order);
  }

 private:
  using Position = std::vector<ProductFactor>::iterator;

  /// Takes a selection out, or brings it nearer to that; returns whether there was one that isn't yet as it shall be.
  bool advance() {
    bool is_stuck = false;
    for (Position factor = factors_.begin(); factor != factors_.end(); ++factor) {
      if (!factor->selection) continue;
      const bool is_gather = factor->selection->as<Gather>() != nullptr;
      if (is_gather && is_scattered(*factor)) continue;
      if (is_gather ? select(factor) : accumulate(factor)) return true;
      is_stuck = true;
    }
    if (!is_stuck) return false;
    return split() || store();
  }

  std::vector<Position> others_with(char label, const ProductFactor& but) {
    std::vector<Position> found;
    for (Position factor = factors_.begin(); factor != factors_.end(); ++factor) {
      if (&*factor != &but && has_label(*factor, label)) found.push_back(factor);
    }
    return found;
  }

  /// Sets the length of summed labels that no factor has to 1; returns the product of what they were.
  double drop_unused_labels() {
    double product = 1;
    for (size_t label = ndim_; label < lengths_.size(); ++label) {
      auto has = [&](const ProductFactor& factor) { return has_label(factor, char(label)); };
      if (std::ranges::any_of(factors_, has) || std::ranges::any_of(scattered_, has)) continue;
      product *= double(std::exchange(lengths_[label], 1));
    }
    return product;
  }

  bool is_result(char label) const { return uint8_t(label) < ndim_; }

  bool is_scattered(const ProductFactor& gather) {
    const char given = gather.labels.back();
    const bool is_used_twice = std::ranges::count(gather.labels, given) > 1;
    return is_result(given) && !is_used_twice && others_with(given, gather).empty();
  }

  /// Σ_j G[i,j] x[j] = x[index[i]].
  bool select(Position gather) {
    const char given = gather->labels.back();
    if (std::ranges::count(gather->labels, given) > 1) return false;
    const std::vector<Position> others = others_with(given, *gather);
    if (std::ranges::any_of(others, [](Position other) { return bool(other->selection); })) return false;
    if (std::ranges::any_of(others, [](Position other) { return bool(other->identity); })) {
      join(given, *gather);
      return true;
    }
    // other gathers from the same tensor that go along
    std::vector<ProductFactor> together{*gather};
    for (Position other = factors_.begin(); others.size() == 1 && other != factors_.end(); ++other) {
      const bool is_alike =
          other != gather && other->selection && other->selection->as<Gather>() && !is_result(other->labels.back()) &&
          !is_result(given) &&
          Labels(other->labels, 0, other->labels.size() - 1) == Labels(gather->labels, 0, gather->labels.size() - 1) &&
          together.size() < kMostIndices;
      if (!is_alike) continue;
      const auto rest = others_with(other->labels.back(), *other);
      if (rest.size() == 1 && rest[0] == others[0]) together.push_back(*other);
    }
    for (Position tensor : others) *tensor = selected(*tensor, together);
    for (const ProductFactor& taken : together) {
      if (is_result(taken.labels.back())) continue;  // now to be scattered
      factors_.erase(std::ranges::find_if(factors_, [&](const ProductFactor& factor) {
        return factor.selection == taken.selection && factor.labels == taken.labels;
      }));
    }
    return true;
  }

  /// A tensor at the places along some of its axes that gathers say.
  ProductFactor selected(const ProductFactor& tensor, const std::vector<ProductFactor>& gathers) {
    const View source = tensor.deferred ? lowering_.view(tensor.deferred) : tensor.view;
    ProductFactor result{.guard = tensor.guard};
    Operand from = over_labels(source, tensor.labels, lengths_.size()), order = from;
    Selection step;
    std::vector<Operand> indices;
    for (const ProductFactor& gather : gathers) {
      const auto given = uint8_t(gather.labels.back());
      note_index(step, indices, gather, from.strides[given], lengths_[given], order);
      from.strides[given] = order.strides[given] = 0;
    }
    for (char label : tensor.labels) {
      const auto gather = std::ranges::find_if(gathers, [&](const auto& g) { return g.labels.back() == label; });
      const Labels own =
          gather == gathers.end() ? Labels(1, label) : Labels(gather->labels, 0, gather->labels.size() - 1);
      for (char c : own) {
        const bool is_given = std::ranges::any_of(gathers, [&](const auto& g) { return g.labels.back() == c; });
        if (!is_given && !has_label(result, c)) result.labels += c;
      }
    }
    Shape shape;
    for (char label : result.labels) shape.push_back(lengths_[uint8_t(label)]);
    result.view = lowering_.new_buffer(std::move(shape));
    const Operand to = over_labels(result.view, result.labels, lengths_.size());
    if (element_count(result.view.shape) > 0) emit(std::move(step), to, from, indices, to);
    return result;
  }

  void note_index(Selection& step, std::vector<Operand>& indices, const ProductFactor& gather, int64_t stride,
                  int64_t length, Operand& order) {
    const size_t operand = 2 + indices.size();
    step.steps[operand] = stride;
    step.lengths[operand] = length;
    indices.push_back(over_labels(gather.view, gather.labels, lengths_.size()));
    for (size_t k = 0; k + 1 < gather.labels.size(); ++k) {
      int64_t& own = order.strides[uint8_t(gather.labels[k])];
      if (own == 0) own = stride;
    }
  }

  /// Emits a step over all labels of its operands, those with large strides of `order` outermost.
  void emit(Selection step, const Operand& to, const Operand& from, const std::vector<Operand>& indices,
            const Operand& order) {
    Operands operands{&to, &from};
    for (const Operand& index : indices) operands.push_back(&index);
    Set labels = 0;
    for (const Operand* operand : operands) labels |= operand->labels();
    step.operands = int(operands.size());
    for (size_t k = 0; k < operands.size(); ++k) step.places[k] = operands[k]->place;
    step.nest = make_nest(lengths_, by_descending_stride(order, labels), operands);
    lowering_.emit_fallible(std::move(step));
  }

  /// Σ_j T[i,j] x[j] is a cumulative sum, if all that depends on j is a tensor of its own.
  bool accumulate(Position triangle) {
    for (const bool reversed : {false, true}) {
      const char summed = triangle->labels[reversed ? 0 : 1], kept = triangle->labels[reversed ? 1 : 0];
      if (is_result(summed) || summed == kept) continue;
      std::vector<Position> others = others_with(summed, *triangle);
      const bool is_joint =
          std::ranges::any_of(others, [&](Position other) { return has_label(*other, kept) || other->selection; });
      if (is_joint || others.empty()) continue;
      if (others.size() > 1 || !is_tensor(*others[0])) {
        const bool stays_small = std::ranges::all_of(others, [&](Position other) {
          return std::ranges::all_of(other->labels, [&](char c) { return c == summed || is_result(c); });
        });
        if (!stays_small) continue;
        join(summed, *triangle);
        return true;
      }
      const ProductFactor x = *others[0];
      const auto offset = triangle->selection->as<Triangle>()->offset;
      *others[0] = cumulative_sum(x, summed, kept, reversed, offset);
      factors_.erase(triangle);
      return true;
    }
    return false;
  }

  ProductFactor cumulative_sum(const ProductFactor& x, char summed, char kept, bool reversed, int64_t offset) {
    const View source = x.deferred ? lowering_.view(x.deferred) : x.view;
    ProductFactor result{.labels = x.labels};
    std::ranges::replace(result.labels, summed, kept);
    Shape shape;
    for (char label : result.labels) shape.push_back(lengths_[uint8_t(label)]);
    result.view = lowering_.new_buffer(shape);
    Operand to = over_labels(result.view, result.labels, lengths_.size());
    Operand from = over_labels(source, x.labels, lengths_.size());
    CumulativeSum step{.reversed = reversed,
                       .offset = offset,
                       .result_length = lengths_[uint8_t(kept)],
                       .result_stride = std::exchange(to.strides[uint8_t(kept)], 0),
                       .x_length = lengths_[uint8_t(summed)],
                       .x_stride = std::exchange(from.strides[uint8_t(summed)], 0),
                       .places = {to.place, from.place}};
    step.rows = make_nest(lengths_, by_descending_stride(to, to.labels()), {&to, &from});
    if (element_count(shape) > 0) lowering_.emit(std::move(step));
    return result;
  }

  /// Makes one tensor of the identities and tensors that have a label.
  void join(char label, const ProductFactor& but) {
    const Labels kept = but.labels;
    const Expr selection = but.selection;
    std::vector<ProductFactor> cluster, rest;
    for (const ProductFactor& factor : factors_) {
      const bool is_part = has_label(factor, label) && !(factor.selection == selection && factor.labels == kept);
      (is_part ? cluster : rest).push_back(factor);
    }
    factors_ = std::move(rest);
    factors_.push_back(joined(lowering_, 1, std::move(cluster), ndim_, factors_, lengths_));
  }

  /// Where a selection's last label is a place that a gather selects by: what the gather is applied to comes first.
  bool split() {
    for (Position gather = factors_.begin(); gather != factors_.end(); ++gather) {
      if (!gather->selection || !gather->selection->as<Gather>() || !is_scattered(*gather)) continue;
      const bool is_outer = std::ranges::any_of(factors_, [&](const ProductFactor& factor) {
        return factor.selection && &factor != &*gather && has_label(*gather, factor.labels.back());
      });
      if (!is_outer) continue;
      const ProductFactor outer = *gather;
      factors_.erase(gather);
      factors_ = {joined(lowering_, 1, std::move(factors_), ndim_, {outer}, lengths_), outer};
      return true;
    }
    return false;
  }

  /// Stores the first selection that isn't scattered as a tensor.
  bool store() {
    for (ProductFactor& factor : factors_) {
      if (!factor.selection || (factor.selection->as<Gather>() && is_scattered(factor))) continue;
      factor = dense(factor);
      return true;
    }
    return false;
  }

  /// A selection as a tensor.
  ProductFactor dense(const ProductFactor& selection) {
    ProductFactor result{.labels = selection.labels, .guard = true};
    const Shape shape = lowering_.shape(selection.selection);
    if (const auto* triangle = selection.selection->as<Triangle>()) {  // cumulative sums of the rows of the identity
      const Expr columns = selection.selection->lengths[1];
      const ProductFactor rows{.view = lowering_.view(delta(columns)), .labels = Labels{char(2), char(1)}};
      Selecting own(lowering_, {rows}, 2, {shape[0], shape[1], shape[1]});
      result.view = own.cumulative_sum(rows, char(2), char(0), false, triangle->offset).view;
      return result;
    }
    ProductFactor alone = selection;
    alone.labels = labels_from(0, int(shape.size()));
    result.view = lower_selection(lowering_, 1, {alone}, shape, shape);
    return result;
  }

  Lowering& lowering_;
  std::vector<ProductFactor> factors_, scattered_{};
  size_t ndim_;
  std::vector<int64_t> lengths_;
  double repetitions_ = 1;
};

}  // namespace

bool has_selection(const std::vector<ProductFactor>& factors) {
  return std::ranges::any_of(factors, [](const ProductFactor& factor) { return bool(factor.selection); });
}

View lower_selection(Lowering& lowering, double coefficient, std::vector<ProductFactor> factors, Shape shape,
                     const std::vector<int64_t>& lengths) {
  Selecting selecting(lowering, std::move(factors), shape.size(), lengths);
  selecting.resolve();
  coefficient *= selecting.repetitions();
  if (!selecting.scatters()) {
    return lower_product(lowering, coefficient, selecting.factors(), std::move(shape), selecting.lengths());
  }
  const View result = lowering.new_buffer(std::move(shape));
  const Operand to = result.operand();
  lowering.emit({.op = RowOp::Fill, .a = 0}, result.shape, {&to});
  selecting.scatter(coefficient, result);
  return result;
}

void write_selection(Lowering& lowering, double coefficient, std::vector<ProductFactor> factors, const View& target,
                     const std::vector<int64_t>& lengths, bool add) {
  Selecting selecting(lowering, std::move(factors), target.shape.size(), lengths);
  selecting.resolve();
  coefficient *= selecting.repetitions();
  if (!selecting.scatters()) {
    return write_product(lowering, coefficient, selecting.factors(), target, selecting.lengths(), add);
  }
  const Operand to = target.operand();
  if (!add) lowering.emit({.op = RowOp::Fill, .a = 0}, target.shape, {&to});
  selecting.scatter(coefficient, target);
}

}  // namespace matgrad::plan
