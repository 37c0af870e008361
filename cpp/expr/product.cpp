// The normal form of products over index labels: the rules that make two ways of writing a product the same node.
#include "expr/product.h"

#include <algorithm>
#include <cmath>

#include "expr/print.h"

namespace matgrad::expr {
namespace {

bool is_integer(double x) {
  return x == std::trunc(x);
}
bool is_even(double x) {
  return is_integer(x / 2);
}

/// Whether a product sums over a label.
bool is_contraction(const Einsum& einsum, int ndim) {
  return std::ranges::any_of(einsum.factors, [&](const Factor& f) {
    return std::ranges::any_of(f.labels, [&](char label) { return label_of(label) >= ndim; });
  });
}

bool is_nonnegative(const Factor& f) {
  return f.guard || is_even(f.exponent) || !is_integer(f.exponent) || is_nonnegative(f.node);
}

/// The same product with coefficient 1.
Expr unit(const Expr& node, const Einsum& einsum) {
  return einsum.coefficient == 1 ? node : intern_product(1, einsum.factors, node->lengths);
}

Labels relabelled(const Labels& labels, const Labels& to) {
  Labels result = labels;
  for (char& label : result) label = to[label_of(label)];
  return result;
}

}  // namespace

Expr common_length(const Expr& a, const Expr& b) {
  if (!a || a == b) return b;
  if (!b) return a;
  const auto x = as_number(a), y = as_number(b);
  if (x && y) throw ShapeError("an axis of length " + length_name(a) + " meets one of length " + length_name(b));
  // numbers, then names, then axes of symbols, then what is made of them
  auto rank = [](const Expr& e) {
    const auto* size = e->as<Size>();
    return as_number(e) ? 0 : size == nullptr ? 3 : size->axis < 0 ? 1 : 2;
  };
  if (rank(a) != rank(b)) return rank(a) < rank(b) ? a : b;
  const auto *s = a->as<Size>(), *t = b->as<Size>();
  if (s != nullptr && t != nullptr) return std::tie(s->name, s->axis) < std::tie(t->name, t->axis) ? a : b;
  return a->hash < b->hash ? a : b;
}

Product::Product(double coefficient, Lengths lengths)
    : coefficient_(coefficient), ndim_(int(lengths.size())), lengths_(std::move(lengths)) {}

int Product::count(int label) const {
  int64_t n = 0;
  for (const Factor& f : factors_) n += std::ranges::count(f.labels, char(label));
  return int(n);
}

void Product::note_length(int label, const Expr& length) {
  if (size_t(label) >= lengths_.size()) lengths_.resize(size_t(label) + 1);
  lengths_[size_t(label)] = common_length(lengths_[size_t(label)], length);
}

int Product::fresh_label(const Expr& length) {
  for (size_t label = size_t(ndim_); label < lengths_.size(); ++label) {
    if (!lengths_[label]) {
      lengths_[label] = length;
      return int(label);
    }
  }
  if (lengths_.size() >= size_t(kMaxLabels)) throw ShapeError("a product has more than 250 indices");
  lengths_.push_back(length);
  return int(lengths_.size()) - 1;
}

/// Replaces a summed label by another one.
void Product::rename(int from, int to) {
  for (Factor& f : factors_) std::ranges::replace(f.labels, char(from), char(to));
  note_length(to, lengths_[size_t(from)]);
  if (is_summed(from)) lengths_[size_t(from)] = Expr();
}

void Product::take_all(std::vector<Factor> factors) {
  for (const Factor& f : factors) {
    for (size_t axis = 0; axis < f.labels.size(); ++axis) note_length(label_of(f.labels[axis]), f.node->lengths[axis]);
  }
  for (Factor& f : factors) take(std::move(f));
}

void Product::take(Factor factor) {
  for (size_t axis = 0; axis < factor.labels.size(); ++axis) {
    note_length(label_of(factor.labels[axis]), factor.node->lengths[axis]);
  }
  if (factor.exponent == 0 || take_rewritten(factor)) return;
  const auto* child = factor.node->as<Einsum>();
  if (child != nullptr && take_einsum(*child, factor.node->ndim(), factor)) return;
  if (factor.exponent > 0 && is_zero_or_one(factor.node)) factor.exponent = 1;
  factors_.push_back(std::move(factor));
}

/// Factors that are a power of something simpler. |x|² = x²; (1 + eˣ)⁻¹ = σ(−x); (Σ eˣ)⁻¹ = exp(−logsumexp(x)), which
/// doesn't overflow.
bool Product::take_rewritten(const Factor& factor) {
  if (const auto* map = factor.node->as<Map>()) {
    if (map->op->name == std::string_view("absolute") && is_even(factor.exponent) && !factor.guard) {
      take({map->operands[0], factor.labels, factor.exponent});
      return true;
    }
  }
  if (factor.exponent >= 0 || factor.guard) return false;
  if (const auto* sum = factor.node->as<Sum>()) {
    if (sum->terms.size() != 2 || sum->terms[0].coefficient != 1 || sum->terms[1].coefficient != 1) return false;
    for (int one : {0, 1}) {
      const auto* exp = sum->terms[size_t(1 - one)].node->as<Map>();
      if (as_full(sum->terms[size_t(one)].node) != 1 || exp == nullptr || exp->op != &op("exp")) continue;
      take({map("sigmoid", {-exp->operands[0]}), factor.labels, -factor.exponent});
      return true;
    }
  }
  if (const auto* einsum = factor.node->as<Einsum>()) {
    if (einsum->factors.size() != 1 || einsum->factors[0].exponent != 1) return false;
    const Factor& only = einsum->factors[0];
    const auto* exp = only.node->as<Map>();
    if (exp == nullptr || exp->op != &op("exp") || !is_contraction(*einsum, factor.node->ndim())) return false;
    Labels axes, kept;  // of the operand that are summed; labels of the others
    for (size_t axis = 0; axis < only.labels.size(); ++axis) {
      const int label = label_of(only.labels[axis]);
      if (label >= factor.node->ndim()) {
        axes += char(axis);
      } else {
        kept += factor.labels[size_t(label)];
      }
    }
    if (kept.size() != factor.labels.size()) return false;
    coefficient_ *= std::pow(einsum->coefficient, factor.exponent);
    take({map("exp", {reduce(Reduction::LogSumExp, exp->operands[0], axes)}), kept, factor.exponent});
    return true;
  }
  return false;
}

/// Brings the factors of a product that is a factor into this one. Returns whether nothing of it remains to be taken.
bool Product::take_einsum(const Einsum& child, int child_ndim, const Factor& factor) {
  const double e = factor.exponent;
  if (child.factors.empty()) {
    is_guarded_zero_ |= factor.guard && child.coefficient == 0;
    coefficient_ *= std::pow(child.coefficient, e);
    return true;
  }
  const bool distributes = is_integer(e) || child.coefficient > 0;
  if (!is_contraction(child, child_ndim)) {
    const bool single = child.factors.size() == 1;
    const bool nonnegative = std::ranges::all_of(child.factors, [](const Factor& f) { return is_nonnegative(f); });
    const bool fits = factors_.size() + child.factors.size() <= size_t(kMaxFactors);
    if (!distributes || !fits || (!is_integer(e) && !single && !nonnegative)) {
      factors_.push_back(factor);
      return true;
    }
    coefficient_ *= std::pow(child.coefficient, e);
    for (const Factor& f : child.factors) {
      const bool absolute = !is_integer(e) && is_even(f.exponent) && !is_nonnegative(f.node);
      take({absolute ? map("absolute", {f.node}) : f.node, relabelled(f.labels, factor.labels), f.exponent * e,
            f.guard || (factor.guard && f.exponent > 0)});
    }
    return true;
  }
  if (distributes) coefficient_ *= std::pow(child.coefficient, e);
  const Expr node = distributes ? unit(factor.node, child) : factor.node;
  const bool fits = factors_.size() + size_t(std::abs(e)) * child.factors.size() <= size_t(kMaxFactors);
  if ((e == 1 || e == 2) && child_ndim > 0 && fits && !factor.guard && distributes) {
    for (int repetition = 0; repetition < int(e); ++repetition) inline_contraction(node, factor.labels);
  } else {
    factors_.push_back({node, factor.labels, e, factor.guard});
  }
  return true;
}

/// Multiplies by the factors of a product, whose summed labels get fresh names.
void Product::inline_contraction(const Expr& node, const Labels& labels) {
  const auto* child = node->as<Einsum>();
  Labels to = labels;
  for (const Factor& f : child->factors) {
    for (size_t axis = 0; axis < f.labels.size(); ++axis) {
      while (size_t(label_of(f.labels[axis])) >= to.size()) to += char(fresh_label(f.node->lengths[axis]));
    }
  }
  for (const Factor& f : child->factors) take({f.node, relabelled(f.labels, to), f.exponent, f.guard});
}

Expr Product::finish() {
  while (contract_delta() || merge_equal() || contract_reshape_or_slice() || sum_gather() || cancel_inverse() ||
         merge_exponentials() || replace_unused_labels() || split_closed_components()) {
  }
  if (is_guarded_zero_) coefficient_ = 0;  // whatever else it was
  if (coefficient_ == 0) factors_.clear();
  if (auto sum = distributed()) return *sum;
  make_deltas_canonical();
  Lengths lengths(lengths_.begin(), lengths_.begin() + ndim_);
  for (int label = 0; label < ndim_; ++label) {
    if (!lengths[size_t(label)]) throw ShapeError("the length of axis " + std::to_string(label) + " is unknown");
  }
  if (factors_.size() == 1 && ndim_ == 0 && factors_[0].exponent == 1 && !factors_[0].guard) {
    // a scalar that is a contraction: its coefficient may be another one
    const auto* child = factors_[0].node->as<Einsum>();
    if (child != nullptr) return intern_product(coefficient_ * child->coefficient, child->factors, std::move(lengths));
  }
  if (ndim_ > 2) {
    if (auto sum = permuted_sum()) return *sum;
  }
  make_canonical(factors_, ndim_);
  return intern_product(coefficient_, std::move(factors_), std::move(lengths));
}

Expr intern_product(double coefficient, std::vector<Factor> factors, Lengths lengths) {
  const int ndim = int(lengths.size());
  if (coefficient == 1 && factors.size() == 1) {
    const Factor& f = factors[0];
    if (f.exponent == 1 && !f.guard && f.labels == labels_from(0, ndim)) return f.node;
  }
  Einsum product{coefficient, std::move(factors)};
  bool symmetric = false;
  if (ndim == 2 && lengths[0] == lengths[1] && !product.factors.empty()) {
    std::vector<Factor> transposed = product.factors;
    for (Factor& f : transposed) {
      for (char& label : f.labels) {
        if (label_of(label) < 2) label = char(1 - label_of(label));
      }
    }
    make_canonical(transposed, 2);
    symmetric =
        std::equal(transposed.begin(), transposed.end(), product.factors.begin(), product.factors.end(),
                   [](const Factor& f, const Factor& g) {
                     return f.node == g.node && f.labels == g.labels && f.exponent == g.exponent && f.guard == g.guard;
                   });
  }
  return intern(std::move(product), std::move(lengths), symmetric);
}

Expr einsum(double coefficient, std::vector<Factor> factors, Lengths lengths) {
  Product product(coefficient, std::move(lengths));
  for (const Factor& f : factors) {
    if (size_t(f.node->ndim()) != f.labels.size()) {
      throw ShapeError("a factor with " + std::to_string(f.node->ndim()) + " axes has " +
                       std::to_string(f.labels.size()) + " labels");
    }
  }
  product.take_all(std::move(factors));
  return product.finish();
}

}  // namespace matgrad::expr
