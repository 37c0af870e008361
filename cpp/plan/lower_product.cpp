// Products with identities: an identity is an equation between labels, by which one of them is substituted in all other
// factors and in the result; nothing is stored for it.
#include <algorithm>
#include <optional>

#include "expr/build.h"
#include "plan/lower.h"

namespace matgrad::plan {

using namespace expr;

namespace {

/// offset + Σ coefficients[label] label.
struct Affine {
  int64_t offset = 0;
  std::vector<int64_t> coefficients{};
};

/// What every label is, in terms of those that are left.
class Substitution {
 public:
  Substitution(size_t count) : values_(count) {
    for (size_t label = 0; label < count; ++label) {
      values_[label].coefficients.assign(count, 0);
      values_[label].coefficients[label] = 1;
    }
    live_.assign(count, true);
  }

  const Affine& operator[](size_t label) const { return values_[label]; }
  bool is_live(size_t label) const { return live_[label]; }

  /// offset + Σ coefficients[k] labels[k].
  Affine affine(int64_t offset, const std::vector<std::pair<size_t, int64_t>>& terms) const {
    Affine sum{offset, std::vector<int64_t>(values_.size(), 0)};
    for (const auto& [label, coefficient] : terms) {
      sum.offset += coefficient * values_[label].offset;
      for (size_t k = 0; k < values_.size(); ++k) sum.coefficients[k] += coefficient * values_[label].coefficients[k];
    }
    return sum;
  }

  /// Puts a value in place of a live label that it doesn't contain.
  void eliminate(size_t label, const Affine& value) {
    live_[label] = false;
    for (Affine& other : values_) {
      const int64_t coefficient = other.coefficients[label];
      if (coefficient == 0) continue;
      other.coefficients[label] = 0;
      other.offset += coefficient * value.offset;
      for (size_t k = 0; k < values_.size(); ++k) other.coefficients[k] += coefficient * value.coefficients[k];
    }
  }

 private:
  std::vector<Affine> values_;
  std::vector<bool> live_;
};

enum class Outcome { Done, Circular, Taken };

/// Makes the equation that an identity is part of a substitution, unless the label it could eliminate depends on
/// itself, or was eliminated by another identity.
Outcome substitute(Substitution& substitution, const ProductFactor& factor, const std::vector<int64_t>& lengths) {
  const auto& identity = *factor.identity->as<Identity>();
  auto label = [&](size_t axis) { return size_t(factor.labels[axis]); };
  size_t eliminated = label(identity.form == Identity::Form::Slice ? 1 : 0);
  std::vector<std::pair<size_t, int64_t>> terms;
  int64_t offset = 0;
  switch (identity.form) {
    case Identity::Form::Delta:
      if (label(0) == label(1)) return Outcome::Done;
      if (!substitution.is_live(eliminated)) eliminated = label(1);
      terms = {{eliminated == label(0) ? label(1) : label(0), 1}};
      break;
    case Identity::Form::Element:
      offset = identity.bounds.start.value_or(0);
      if (offset < 0) offset += lengths[eliminated];
      break;
    case Identity::Form::Slice: {
      const Slice slice = resolve(identity.bounds, lengths[eliminated]);
      offset = slice.start;
      terms = {{label(0), slice.step}};
      break;
    }
    case Identity::Form::Reshape:
      for (size_t axis = factor.labels.size(), stride = 1; axis-- > 1; stride *= size_t(lengths[label(axis)])) {
        terms.push_back({label(axis), int64_t(stride)});
      }
      break;
  }
  if (!substitution.is_live(eliminated)) return Outcome::Taken;
  const Affine value = substitution.affine(offset, terms);
  if (value.coefficients[eliminated] != 0) return Outcome::Circular;
  substitution.eliminate(eliminated, value);
  return Outcome::Done;
}

/// A tensor over the labels that are left.
Operand substituted(const View& view, const Labels& labels, const Substitution& substitution, size_t count) {
  Operand operand{view.place, std::vector<int64_t>(count, 0)};
  for (size_t axis = 0; axis < labels.size(); ++axis) {
    const Affine& value = substitution[size_t(labels[axis])];
    operand.place.offset += view.strides[axis] * value.offset;
    for (size_t label = 0; label < count; ++label) {
      operand.strides[label] += view.strides[axis] * value.coefficients[label];
    }
  }
  return operand;
}

/// Drops labels of length 1, and numbers the others anew.
void drop_trivial_labels(Product& product, const Substitution& substitution) {
  std::vector<size_t> kept;
  for (size_t label = 0; label < product.lengths.size(); ++label) {
    if (substitution.is_live(label) && product.lengths[label] != 1) kept.push_back(label);
  }
  if (kept.size() > size_t(kMaxMembers)) throw std::invalid_argument("a product has more than 64 labels");
  auto keep = [&](std::vector<int64_t>& values) {
    std::vector<int64_t> selected;
    for (size_t label : kept) selected.push_back(values[label]);
    values = std::move(selected);
  };
  keep(product.lengths);
  for (auto& factor : product.factors) keep(factor.strides);
  keep(product.result.strides);
}

/// The strides of a product's result as a view of its only factor, if it can be seen so.
std::optional<View> as_view(const Operand& operand, const Shape& shape, const Substitution& substitution,
                            const std::vector<int64_t>& lengths) {
  View view{operand.place, shape, std::vector<int64_t>(shape.size(), 0)};
  std::vector<bool> seen(lengths.size(), false);
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    std::optional<int64_t> stride;
    for (size_t label = 0; label < lengths.size(); ++label) {
      const int64_t coefficient = substitution[axis].coefficients[label];
      if (coefficient == 0 || lengths[label] == 1) continue;
      seen[label] = true;
      if (operand.strides[label] % coefficient != 0) return std::nullopt;
      const int64_t needed = operand.strides[label] / coefficient;
      if (stride && *stride != needed) return std::nullopt;
      stride = needed;
    }
    if (substitution[axis].offset != 0) return std::nullopt;
    view.strides[axis] = stride.value_or(0);
  }
  for (size_t label = 0; label < lengths.size(); ++label) {
    if (substitution.is_live(label) && lengths[label] != 1 && !seen[label]) return std::nullopt;
  }
  return view;
}

/// Makes sure that a factor is stored.
void store(Lowering& lowering, Product::Factor& factor) {
  if (!factor.deferred) return;
  const Place place = lowering.view(factor.deferred).place;
  factor.place = {place.buffer, place.offset + factor.place.offset};
  factor.deferred = {};
}

/// What guards do: where one is zero, so is the product. One over labels of the result is applied to the result at the
/// end; otherwise the factors over all of its labels are set to zero where it is.
std::vector<Operand> apply_guards(Lowering& lowering, Product& product, const std::vector<bool>& is_guard) {
  std::vector<Operand> deferred;
  for (size_t k = 0; k < is_guard.size(); ++k) {
    if (!is_guard[k]) continue;
    const Operand guard = product.factors[k];
    const Set labels = guard.labels();
    if ((labels & ~product.result.labels()) == 0) {
      deferred.push_back(guard);
      continue;
    }
    for (size_t other = 0; other < product.factors.size(); ++other) {
      Product::Factor& factor = product.factors[other];
      const Set own = factor.labels();
      if (is_guard[other] || (labels & ~own) != 0) continue;
      store(lowering, factor);
      Shape shape;
      const auto order = by_descending_stride(factor, own);
      for (int label : order) shape.push_back(product.lengths[size_t(label)]);
      const View masked = lowering.new_buffer(shape);
      Operand result{masked.place, std::vector<int64_t>(product.lengths.size(), 0)};
      for (size_t axis = 0; axis < order.size(); ++axis) result.strides[size_t(order[axis])] = masked.strides[axis];
      lowering.emit({.op = RowOp::Select}, product.lengths, {&result, &factor, &guard});
      factor.place = result.place;
      factor.strides = result.strides;
    }
  }
  return deferred;
}

/// A product of tensors over the labels that are left after all identities are substituted.
struct Substituted {
  Substitution substitution;
  Product product{};
  std::vector<bool> is_guard{};
  bool is_sparse = false;  ///< whether entries of the result stay zero
  bool is_chain = false;   ///< whether an identity couldn't be substituted, so that nothing else is known
};

Substituted substitute_all(Lowering& lowering, double coefficient, const std::vector<ProductFactor>& factors,
                           const Shape& shape, const std::vector<int64_t>& lengths) {
  Substituted result{.substitution = Substitution(lengths.size()), .product = {.lengths = lengths}};
  Substitution& substitution = result.substitution;
  result.product.coefficient = coefficient;
  std::vector<ProductFactor> tensors;
  for (const ProductFactor& factor : factors) {
    if (!factor.identity) tensors.push_back(factor);
  }
  using Form = Identity::Form;
  for (Form form : {Form::Delta, Form::Element, Form::Slice, Form::Reshape}) {
    for (size_t k = 0; k < factors.size(); ++k) {
      if (!factors[k].identity || factors[k].identity->as<Identity>()->form != form) continue;
      const Outcome outcome = substitute(substitution, factors[k], lengths);
      if (outcome == Outcome::Circular) {
        tensors.push_back({.view = lowering.view(factors[k].identity), .labels = factors[k].labels});
      } else if (outcome == Outcome::Taken) {
        result.is_chain = true;
        return result;
      }
    }
  }
  for (const ProductFactor& tensor : tensors) {
    result.product.factors.push_back(
        {substituted(tensor.view, tensor.labels, substitution, lengths.size()), tensor.deferred});
    result.is_guard.push_back(tensor.guard);
  }
  int64_t written = 1;
  for (size_t label = 0; label < lengths.size(); ++label) {
    bool in_result = false;
    for (size_t axis = 0; axis < shape.size(); ++axis) in_result |= substitution[axis].coefficients[label] != 0;
    if (in_result && substitution.is_live(label)) written *= lengths[label];
  }
  result.is_sparse = written < element_count(shape);
  return result;
}

/// Emits the product, written or added to a target.
void write(Lowering& lowering, Substituted from, const View& target, bool add) {
  Product& product = from.product;
  if (element_count(target.shape) == 0) return;
  const Labels axes = labels_from(0, int(target.shape.size()));
  product.result = substituted(target, axes, from.substitution, product.lengths.size());
  drop_trivial_labels(product, from.substitution);
  const Lengths lengths = product.lengths;
  const Operand to = product.result;
  const bool is_empty = std::ranges::find(lengths, 0) != lengths.end();
  const bool scatters = from.is_sparse && !is_empty && lowering.can_scatter(target, lengths, to, add);
  if (!add && !scatters && (from.is_sparse || is_empty)) {
    const Operand all = target.operand();
    lowering.emit({.op = RowOp::Fill, .a = 0}, target.shape, {&all});
  }
  if (is_empty) return;
  if (scatters && product.factors.empty()) {
    Operand one = to;
    one.place = lowering.number(1, {}).place;
    std::ranges::fill(one.strides, 0);
    return lowering.emit_scatter(target, lengths, product.coefficient, one, to, add);
  }
  if (add || scatters) {
    Set all = 0;
    for (size_t label = 0; label < lengths.size(); ++label) all |= Set(1) << label;
    if (product.factors.size() == 1 && !from.is_guard[0] && all == to.labels()) {
      Product::Factor& only = product.factors[0];
      store(lowering, only);
      if (scatters) return lowering.emit_scatter(target, lengths, product.coefficient, only, to, add);
      return lowering.emit({.op = RowOp::Combine, .b = product.coefficient}, lengths, {&to, &to, &only});
    }
    const auto order = by_descending_stride(to, to.labels());
    product.result = lowering.new_operand(lengths, order);
  }
  const std::vector<Operand> guards = apply_guards(lowering, product, from.is_guard);
  const Operand made = product.result;
  product.is_final &= guards.empty();
  lower_contraction(lowering, std::move(product));
  for (const Operand& guard : guards) lowering.emit({.op = RowOp::Select}, lengths, {&made, &made, &guard});
  if (scatters) return lowering.emit_scatter(target, lengths, 1, made, to, add);
  if (add) lowering.emit({.op = RowOp::Combine}, lengths, {&to, &to, &made});
}

}  // namespace

ProductFactor joined(Lowering& lowering, double coefficient, std::vector<ProductFactor> factors, size_t ndim,
                     const std::vector<ProductFactor>& others, const std::vector<int64_t>& lengths) {
  ProductFactor result;
  std::vector<char> renamed(lengths.size());  // labels in the numbering of the product
  Shape shape, own_lengths;
  for (const bool wanted : {true, false}) {
    for (size_t label = 0; label < lengths.size(); ++label) {
      auto has = [&](const ProductFactor& factor) { return factor.has(label); };
      const bool is_there = std::ranges::any_of(factors, has);
      if ((is_there && (label < ndim || std::ranges::any_of(others, has))) != wanted) continue;
      renamed[label] = char(own_lengths.size());
      own_lengths.push_back(is_there ? lengths[label] : 1);
      if (wanted) result.labels += char(label);
    }
    if (wanted) shape = own_lengths;
  }
  for (ProductFactor& factor : factors) {
    for (char& label : factor.labels) label = renamed[size_t(label)];
  }
  result.view = lower_product(lowering, coefficient, factors, shape, own_lengths);
  return result;
}

View lower_product(Lowering& lowering, double coefficient, const std::vector<ProductFactor>& factors, Shape shape,
                   const std::vector<int64_t>& lengths, bool is_symmetric) {
  if (has_selection(factors)) return lower_selection(lowering, coefficient, factors, std::move(shape), lengths);
  Substituted from = substitute_all(lowering, coefficient, factors, shape, lengths);
  if (from.is_chain) {
    std::vector<int64_t> left = lengths;
    const auto shorter = shortened(lowering, factors, shape.size(), left);
    return lower_product(lowering, coefficient, shorter, std::move(shape), left);
  }
  if (from.product.factors.size() == 1 && coefficient == 1 && !from.is_guard[0] && !from.is_sparse) {
    Product::Factor& only = from.product.factors[0];
    const auto view = as_view(only, shape, from.substitution, lengths);
    if (view) {
      store(lowering, only);
      return {only.place, view->shape, view->strides};
    }
  }
  const View result = lowering.new_buffer(shape);
  from.product.is_symmetric = is_symmetric;
  write(lowering, std::move(from), result, false);
  return result;
}

void write_product(Lowering& lowering, double coefficient, const std::vector<ProductFactor>& factors,
                   const View& target, const std::vector<int64_t>& lengths, bool add) {
  if (has_selection(factors)) return write_selection(lowering, coefficient, factors, target, lengths, add);
  Substituted from = substitute_all(lowering, coefficient, factors, target.shape, lengths);
  from.product.is_final = add;  // what is written may be added to
  if (!from.is_chain) return write(lowering, std::move(from), target, add);
  std::vector<int64_t> left = lengths;
  const auto shorter = shortened(lowering, factors, target.shape.size(), left);
  write_product(lowering, coefficient, shorter, target, left, add);
}

}  // namespace matgrad::plan
