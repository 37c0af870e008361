// The normal form of products over index labels: the rules that make two ways of writing a product the same node.
#include "expr/product.h"

#include <algorithm>
#include <cmath>
#include <numeric>

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

bool is_form(const Factor& f, Identity::Form form) {
  const auto* identity = f.node->as<Identity>();
  return identity != nullptr && identity->form == form;
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
  const auto* map = factor.node->as<Map>();
  const bool zero_or_one = factor.node->as<Identity>() != nullptr || (map && map->op->range == Op::Indicator);
  if (zero_or_one && factor.exponent > 0) factor.exponent = 1;
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
    coefficient_ *=
        factor.guard ? double(child.coefficient != 0) * std::pow(child.coefficient, e) : std::pow(child.coefficient, e);
    return true;
  }
  const bool distributes = is_integer(e) || child.coefficient > 0;
  if (!is_contraction(child, child_ndim)) {
    const bool single = child.factors.size() == 1;
    const bool nonnegative = std::ranges::all_of(child.factors, [](const Factor& f) { return is_nonnegative(f); });
    if (!distributes || (!is_integer(e) && !single && !nonnegative)) {
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

/// Σ_j δ[i,j] f[j] = f[i]; δ[i,i] = 1.
bool Product::contract_delta() {
  for (size_t k = 0; k < factors_.size(); ++k) {
    if (!is_form(factors_[k], Identity::Form::Delta)) continue;
    const auto [low, high] = std::minmax({label_of(factors_[k].labels[0]), label_of(factors_[k].labels[1])});
    if (low != high && !is_summed(high)) {
      if (count(high) == 1) continue;
      // both are the result's: the other factors name the lower one
      for (size_t other = 0; other < factors_.size(); ++other) {
        if (other != k) std::ranges::replace(factors_[other].labels, char(high), char(low));
      }
      note_length(low, lengths_[size_t(high)]);
      note_length(high, lengths_[size_t(low)]);
      return true;
    }
    remove(k);
    if (low != high) rename(high, low);
    return true;
  }
  return false;
}

/// Σ_k M[k,i,j] M[k,i′,j′] = δ[i,i′] δ[j,j′]; Σ_ij M[k,i,j] M[k′,i,j] = δ[k,k′]; Σ_j S[i,j] S[i′,j] = δ[i,i′]; and a
/// sum over the one index that is given by the others is 1.
bool Product::contract_reshape_or_slice() {
  for (size_t k = 0; k < factors_.size(); ++k) {
    const Factor& f = factors_[k];
    const auto* identity = f.node->as<Identity>();
    if (identity == nullptr || identity->form == Identity::Form::Delta) continue;
    const bool reshape = identity->form == Identity::Form::Reshape;
    // the axes whose index is given by the others', and the others
    const Labels given = reshape ? f.labels.substr(0, 1) : f.labels.substr(f.labels.size() - 1);
    const Labels rest = reshape ? f.labels.substr(1) : f.labels.substr(0, f.labels.size() - 1);
    auto exclusive = [&](const Labels& labels, int times) {
      return std::ranges::all_of(labels, [&](char l) { return is_summed(label_of(l)) && count(label_of(l)) == times; });
    };
    if (exclusive(given, 1) || (reshape && exclusive(rest, 1))) {
      for (char label : exclusive(given, 1) ? given : rest) lengths_[size_t(label_of(label))] = Expr();
      remove(k);
      return true;
    }
    for (size_t other = k + 1; other < factors_.size(); ++other) {
      const Factor& g = factors_[other];
      if (g.node != f.node) continue;
      const size_t split = reshape ? 1 : f.labels.size() - 1;
      const Labels given_too = reshape ? g.labels.substr(0, split) : g.labels.substr(split);
      const Labels rest_too = reshape ? g.labels.substr(split) : g.labels.substr(0, split);
      Labels a, b, gone;
      if (given == given_too && exclusive(given, 2)) {
        a = rest, b = rest_too, gone = given;
      } else if (reshape && rest == rest_too && exclusive(rest, 2)) {
        a = given, b = given_too, gone = rest;
      } else {
        continue;
      }
      remove(other);
      remove(k);
      for (char label : gone) lengths_[size_t(label_of(label))] = Expr();
      for (size_t axis = 0; axis < a.size(); ++axis) {
        take({delta(lengths_[size_t(label_of(a[axis]))]), Labels{a[axis], b[axis]}});
      }
      return true;
    }
  }
  return false;
}

/// Σ_j A⁻¹[i,j] A[j,k] = δ[i,k], and A A⁻¹ likewise.
bool Product::cancel_inverse() {
  for (size_t k = 0; k < factors_.size(); ++k) {
    const auto* inverse = factors_[k].node->as<Linalg>();
    if (inverse == nullptr || inverse->op != LinalgOp::Inverse || factors_[k].exponent != 1) continue;
    for (size_t other = 0; other < factors_.size(); ++other) {
      const Labels &a = factors_[k].labels, &b = factors_[other].labels;
      if (factors_[other].node != inverse->operand || factors_[other].exponent != 1) continue;
      const size_t row = a.size() - 2, column = a.size() - 1;
      if (!std::equal(a.begin(), a.begin() + ptrdiff_t(row), b.begin())) continue;
      for (const auto& [joined, with] : {std::pair{column, row}, std::pair{row, column}}) {
        if (a[joined] != b[with] || !is_summed(label_of(a[joined])) || count(label_of(a[joined])) != 2) continue;
        const Labels left = {a[row + column - joined], b[row + column - with]};
        lengths_[size_t(label_of(a[joined]))] = Expr();
        const Expr length = lengths_[size_t(label_of(left[0]))];
        remove(std::max(k, other));
        remove(std::min(k, other));
        take({delta(length), left});
        return true;
      }
    }
  }
  return false;
}

/// f^a f^b = f^(a+b).
bool Product::merge_equal() {
  for (Factor& f : factors_) {
    if (f.node->symmetric && label_of(f.labels[0]) > label_of(f.labels[1])) std::swap(f.labels[0], f.labels[1]);
  }
  for (size_t k = 0; k < factors_.size(); ++k) {
    for (size_t other = k + 1; other < factors_.size(); ++other) {
      if (factors_[k].node != factors_[other].node || factors_[k].labels != factors_[other].labels) continue;
      Factor merged = factors_[k];
      merged.exponent += factors_[other].exponent;
      merged.guard = merged.guard || factors_[other].guard;
      remove(other);
      remove(k);
      take(std::move(merged));
      return true;
    }
  }
  return false;
}

/// exp(u) exp(logsumexp(u))⁻¹ = exp(u − logsumexp(u)), and exp(u) σ(−u) = σ(u): what would overflow doesn't.
bool Product::merge_exponentials() {
  const Op &exp = op("exp"), &sigmoid = op("sigmoid");
  for (size_t k = 0; k < factors_.size(); ++k) {
    const auto* first = factors_[k].node->as<Map>();
    if (first == nullptr || first->op != &exp || factors_[k].exponent <= 0) continue;
    for (size_t other = 0; other < factors_.size(); ++other) {
      const auto* second = factors_[other].node->as<Map>();
      if (second == nullptr || other == k) continue;
      const Factor f = factors_[k], g = factors_[other];
      Factor merged = f;
      double power = std::min(f.exponent, std::abs(g.exponent));
      if (second->op == &sigmoid && g.exponent > 0 && f.labels == g.labels &&
          second->operands[0] == -first->operands[0]) {
        merged.node = map("sigmoid", {first->operands[0]});
      } else if (second->op == &exp && g.exponent < 0 && second->operands[0]->as<Reduce>() &&
                 second->operands[0]->as<Reduce>()->reduction == Reduction::LogSumExp) {
        Labels axes;
        for (char label : g.labels) {
          const size_t axis = f.labels.find(label);
          if (axis != Labels::npos) axes += char(axis);
        }
        if (axes.size() != g.labels.size()) continue;
        const Expr& u = first->operands[0];
        merged.node = map("exp", {u - broadcast(second->operands[0], axes, u->lengths)});
      } else {
        continue;
      }
      remove(std::max(k, other));
      remove(std::min(k, other));
      merged.exponent = power;
      take(std::move(merged));
      if (f.exponent != power) take({f.node, f.labels, f.exponent - power, f.guard});
      if (std::abs(g.exponent) != power) {
        take({g.node, g.labels, g.exponent - std::copysign(power, g.exponent), g.guard});
      }
      return true;
    }
  }
  return false;
}

/// Σ_j 1 = n.
bool Product::replace_unused_labels() {
  bool changed = false;
  for (int label = ndim_; label < int(lengths_.size()); ++label) {
    if (!lengths_[size_t(label)] || count(label) > 0) continue;
    const Expr length = std::exchange(lengths_[size_t(label)], Expr());
    take({length, Labels()});
    changed = true;
  }
  return changed;
}

/// Factors that are linked by summed labels, but to no label of the result, are a scalar: a factor of its own.
bool Product::split_closed_components() {
  const size_t n = factors_.size();
  std::vector<size_t> root(n);
  std::iota(root.begin(), root.end(), size_t(0));
  auto find = [&](size_t k) {
    while (root[k] != k) k = root[k];
    return k;
  };
  std::vector<size_t> owner(lengths_.size(), n);
  for (size_t k = 0; k < n; ++k) {
    for (char c : factors_[k].labels) {
      size_t& first = owner[size_t(label_of(c))];
      if (!is_summed(label_of(c))) continue;
      if (first == n) {
        first = k;
      } else {
        root[find(k)] = find(first);
      }
    }
  }
  std::vector<bool> open(n, false);
  std::vector<std::vector<size_t>> members(n);
  for (size_t k = 0; k < n; ++k) {
    members[find(k)].push_back(k);
    for (char c : factors_[k].labels) {
      if (!is_summed(label_of(c))) open[find(k)] = true;
    }
  }
  for (const auto& component : members) {
    if (component.empty() || open[find(component[0])] || (component.size() == n && ndim_ == 0)) continue;
    if (factors_[component[0]].labels.empty()) continue;
    Product scalar(1, {});
    std::vector<Factor> own;
    for (size_t k : component) own.push_back(factors_[k]);
    scalar.take_all(std::move(own));
    for (size_t k : component) {
      for (char c : factors_[k].labels) lengths_[size_t(label_of(c))] = Expr();
    }
    for (size_t k = component.size(); k-- > 0;) remove(component[k]);
    take({scalar.finish(), Labels()});
    return true;
  }
  return false;
}

/// A δ takes the length that its labels have in other factors.
void Product::make_deltas_canonical() {
  Lengths best(lengths_.size());
  for (int round = 0; round < 2; ++round) {
    for (const Factor& f : factors_) {
      const bool is_delta = is_form(f, Identity::Form::Delta);
      for (size_t axis = 0; axis < f.labels.size(); ++axis) {
        Expr& length = best[size_t(label_of(f.labels[axis]))];
        if (is_delta == (round == 1) && (round == 0 || !length)) length = common_length(length, f.node->lengths[axis]);
      }
    }
  }
  for (Factor& f : factors_) {
    if (!is_form(f, Identity::Form::Delta)) continue;
    f.node = delta(common_length(best[size_t(label_of(f.labels[0]))], best[size_t(label_of(f.labels[1]))]));
    for (char c : f.labels) best[size_t(label_of(c))] = f.node->lengths[0];
  }
  for (int label = 0; label < ndim_; ++label) {
    if (best[size_t(label)]) lengths_[size_t(label)] = best[size_t(label)];
  }
}

Expr Product::finish() {
  while (contract_delta() || merge_equal() || contract_reshape_or_slice() || cancel_inverse() || merge_exponentials() ||
         replace_unused_labels() || split_closed_components()) {
  }
  if (coefficient_ == 0) factors_.clear();
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
  if (ndim == 2 && !product.factors.empty()) {
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
