// Products and sums of nodes. Terms that are mostly zero are added where they aren't, and not stored.
#include <algorithm>
#include <cmath>

#include "expr/build.h"
#include "plan/lower.h"

namespace matgrad::plan {

using namespace expr;

/// A product whose factors aren't those of its node: others that these are made of are in their places.
struct Expanded {
  double coefficient;
  std::vector<Factor> factors;
  Lengths lengths{};  ///< of all labels, also of those that have dropped out of the factors
};

namespace {

/// The most factors, and labels, of a product that others are part of.
constexpr size_t kMostInlined = 48;

/// The most terms that a product is multiplied out to.
constexpr size_t kMostTerms = 16;

/// The product with a term of one of its factors, which is a sum, in the factor's place.
Expanded with_term(const Expanded& product, size_t position, const Term& term) {
  Expanded result = product;
  const Factor sum = product.factors[position];
  result.coefficient *= term.coefficient;
  result.factors.erase(result.factors.begin() + ptrdiff_t(position));
  const auto* einsum = term.node->as<Einsum>();
  if (einsum == nullptr) {
    result.factors.push_back(factor(term.node, sum.labels));
    return result;
  }
  result.coefficient *= einsum->coefficient;
  const int own = int(sum.labels.size()), first = int(product.lengths.size());
  for (Factor inner : einsum->factors) {
    for (char& label : inner.labels) label = label < own ? sum.labels[size_t(label)] : char(label - own + first);
    result.factors.push_back(std::move(inner));
  }
  return result;
}

/// The factors, of which squares that are summed are products of two, as what multiplies and adds needs no square.
std::vector<Factor> with_squares_as_products(std::vector<Factor> factors, int ndim) {
  for (size_t k = 0; k < factors.size(); ++k) {
    Factor& factor = factors[k];
    const bool is_summed = std::ranges::any_of(factor.labels, [&](char label) { return int(label) >= ndim; });
    if (factor.exponent != 2 || factor.guard || !is_summed) continue;
    factor.exponent = 1;
    factors.insert(factors.begin() + ptrdiff_t(k), Factor(factor));
    ++k;
  }
  return factors;
}

/// Whether an identity among the factors joins axes of the result.
bool joins_axes(const Einsum& einsum, int ndim) {
  return std::ranges::any_of(einsum.factors, [&](const Factor& factor) {
    return factor.node->as<Identity>() && factor.labels.size() > 1 &&
           std::ranges::all_of(factor.labels, [&](char label) { return label < ndim; });
  });
}

}  // namespace

bool is_sparse(const Expr& node) {
  if (auto* einsum = node->as<Einsum>()) return joins_axes(*einsum, node->ndim());
  if (auto* sum = node->as<Sum>()) {
    return std::ranges::any_of(sum->terms, [](const Term& term) { return is_sparse(term.node); });
  }
  return node->as<Identity>() && node->ndim() > 1;
}

void Lowering::set_lengths(const std::vector<Factor>& factors, Lengths& lengths) const {
  for (const Factor& factor : factors) {
    for (size_t axis = 0; axis < factor.labels.size(); ++axis) {
      const auto label = size_t(factor.labels[axis]);
      if (label >= lengths.size()) lengths.resize(label + 1, 1);
      lengths[label] = lengths_.length(factor.node->lengths[axis]);
    }
  }
}

std::vector<ProductFactor> Lowering::product_factors(const std::vector<Factor>& factors, double& coefficient) {
  std::vector<ProductFactor> result;
  for (const Factor& factor : factors) {
    if (factor.node->as<Size>() || factor.node->as<SliceLength>()) {
      coefficient *= std::pow(lengths_.value(factor.node), factor.exponent);
      continue;
    }
    ProductFactor& made = result.emplace_back();
    made.labels = factor.labels;
    made.guard = factor.guard;
    const bool is_plain = factor.exponent == 1 && !factor.guard;
    if (factor.node->as<Identity>() && is_plain) {
      made.identity = factor.node;
    } else if (is_plain && (factor.node->as<Gather>() || factor.node->as<Triangle>())) {
      made.selection = factor.node;
      if (const auto* gather = factor.node->as<Gather>()) made.view = view(gather->index);
    } else if (is_plain && is_deferred(factor.node) && !is_lowered(factor.node)) {
      made.deferred = factor.node;
      made.view.shape = lengths_.shape(factor.node);
      made.view.strides = contiguous_strides(made.view.shape);
    } else {
      made.view = power(factor.node, factor.exponent, factor.guard);
    }
  }
  return result;
}

void Lowering::write_terms(double coefficient, const std::vector<Factor>& factors, const View& target, bool add) {
  std::vector<Expanded> terms{{coefficient, factors, target.shape}};
  set_lengths(factors, terms[0].lengths);
  for (size_t k = 0; k < terms.size();) {
    const auto found = std::ranges::find_if(terms[k].factors, [&](const Factor& factor) {
      const auto* sum = factor.node->as<Sum>();
      return sum && factor.exponent == 1 && !factor.guard && is_sparse(factor.node) && !is_lowered(factor.node) &&
             terms.size() + sum->terms.size() <= kMostTerms && terms[k].lengths.size() < size_t(kMaxLabels / 2);
    });
    if (found == terms[k].factors.end()) {
      ++k;
      continue;
    }
    const Expanded product = terms[k];
    const auto position = size_t(found - terms[k].factors.begin());
    terms.erase(terms.begin() + ptrdiff_t(k));
    for (const Term& term : product.factors[position].node->as<Sum>()->terms) {
      terms.push_back(with_term(product, position, term));
      set_lengths(terms.back().factors, terms.back().lengths);
    }
  }
  for (const Expanded& term : terms) {
    double scale = term.coefficient;
    const auto made = product_factors(term.factors, scale);
    write_product(*this, scale, made, target, term.lengths, add);
    add = true;
  }
}

std::optional<View> Lowering::lower_quotient(const Einsum& einsum, const Shape& shape) {
  const int ndim = int(shape.size());
  std::vector<Factor> over, under;
  for (const Factor& factor : einsum.factors) {
    const bool is_summed = std::ranges::any_of(factor.labels, [&](char label) { return int(label) >= ndim; });
    if (is_summed || factor.guard || factor.node->as<Identity>() || factor.node->as<Gather>() ||
        factor.node->as<Triangle>()) {
      return std::nullopt;
    }
    (factor.exponent < 0 ? under : over).push_back(factor);
    if (factor.exponent < 0) under.back().exponent = -factor.exponent;
  }
  if (under.empty()) return std::nullopt;
  double scale_over = einsum.coefficient, scale_under = 1;
  const auto factors_over = product_factors(over, scale_over), factors_under = product_factors(under, scale_under);
  const View x =
      factors_over.empty() ? number(scale_over, shape) : lower_product(*this, scale_over, factors_over, shape, shape);
  const View y = factors_under.empty() ? number(scale_under, shape)
                                       : lower_product(*this, scale_under, factors_under, shape, shape);
  const View result = new_buffer(shape);
  const Operand to = result.operand(), from = x.operand(), divisor = y.operand();
  emit({.op = RowOp::Divide}, shape, {&to, &from, &divisor});
  return result;
}

std::set<const Node*> single_products(const std::vector<Expr>& nodes, const std::vector<Expr>& results) {
  std::map<const Node*, int> uses, plain_uses;  // all, and those as a factor of a product that is nothing else
  for (const Expr& result : results) ++uses[result.get()];
  for (const Expr& node : nodes) {
    for_each_operand(*node, [&](const Expr& operand) { ++uses[operand.get()]; });
    const auto* einsum = node->as<Einsum>();
    if (einsum == nullptr) continue;
    for (const Factor& factor : einsum->factors) plain_uses[factor.node.get()] += factor.exponent == 1 && !factor.guard;
  }
  std::set<const Node*> single;
  for (const Expr& node : nodes) {
    const auto* einsum = node->as<Einsum>();
    if (einsum == nullptr || node->ndim() == 0 || is_sparse(node) || uses[node.get()] != 1) continue;
    const bool has_guard = std::ranges::any_of(einsum->factors, [](const Factor& factor) { return factor.guard; });
    if (plain_uses[node.get()] == 1 && !has_guard) single.insert(node.get());
  }
  return single;
}

void Lowering::inline_products(Expanded& product) const {
  for (;;) {
    const auto found = std::ranges::find_if(product.factors, [&](const Factor& factor) {
      return single_products_.contains(factor.node.get()) && !is_lowered(factor.node) &&
             product.factors.size() + factor.node->as<Einsum>()->factors.size() <= kMostInlined &&
             product.lengths.size() + factor.node->as<Einsum>()->factors.size() <= kMostInlined;
    });
    if (found == product.factors.end()) return;
    product = with_term(product, size_t(found - product.factors.begin()), {1, found->node});
    set_lengths(product.factors, product.lengths);
  }
}

View Lowering::lower_einsum(const Expr& node) {
  const auto& einsum = *node->as<Einsum>();
  const Shape shape = lengths_.shape(node);
  double coefficient = einsum.coefficient;
  if (einsum.factors.empty()) return number(coefficient, shape);
  const bool has_sparse_sum = std::ranges::any_of(einsum.factors, [&](const Factor& factor) {
    return factor.node->as<Sum>() && is_sparse(factor.node) && !is_lowered(factor.node);
  });
  if (has_sparse_sum) {
    const View result = new_buffer(shape);
    write_terms(coefficient, einsum.factors, result, false);
    return result;
  }
  const Factor& first = einsum.factors[0];
  if (einsum.factors.size() == 1 && first.exponent == 1 && !first.guard &&
      first.labels == labels_from(0, node->ndim()) && can_be_deferred(first.node) && !is_lowered(first.node)) {
    const View result = new_buffer(shape);
    if (write_symmetrized(*this, first.node, coefficient, result)) return result;
  }
  if (auto quotient = lower_quotient(einsum, shape)) return *quotient;
  Expanded product{coefficient, einsum.factors, shape};
  set_lengths(product.factors, product.lengths);
  inline_products(product);
  const auto squares = with_squares_as_products(std::move(product.factors), node->ndim());
  const auto factors = product_factors(squares, product.coefficient);
  return lower_product(*this, product.coefficient, factors, shape, product.lengths, node->symmetric);
}

View Lowering::lower_sum(const Expr& node, const Shape& shape) {
  const auto& sum = *node->as<Sum>();
  const View result = new_buffer(shape);
  if (write_symmetrized(*this, node, 1, result)) return result;
  const Operand to = result.operand();
  std::vector<Operand> dense;
  std::vector<double> coefficients;
  for (const Term& term : sum.terms) {
    if (is_sparse(term.node) && !is_lowered(term.node)) continue;
    dense.push_back(view(term.node).operand());
    coefficients.push_back(term.coefficient);
  }
  if (dense.size() == 1) emit({.op = RowOp::Scale, .a = coefficients[0]}, shape, {&to, &dense[0]});
  for (size_t k = 1; k < dense.size(); ++k) {
    emit({.op = RowOp::Combine, .a = k == 1 ? coefficients[0] : 1, .b = coefficients[k]}, shape,
         {&to, k == 1 ? &dense[0] : &to, &dense[k]});
  }
  bool add = !dense.empty();
  for (const Term& term : sum.terms) {
    if (!is_sparse(term.node) || is_lowered(term.node)) continue;
    const auto* einsum = term.node->as<Einsum>();
    const double coefficient = term.coefficient * (einsum ? einsum->coefficient : 1);
    const std::vector<Factor> alone{factor(term.node, labels_from(0, int(shape.size())))};
    write_terms(coefficient, einsum ? einsum->factors : alone, result, add);
    add = true;
  }
  return result;
}

}  // namespace matgrad::plan
