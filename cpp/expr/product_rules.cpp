// The rules of products, each of which makes two ways of writing the same product one; applied until none applies.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "expr/product.h"

namespace matgrad::expr {
namespace {

bool is_form(const Factor& f, Identity::Form form) {
  const auto* identity = f.node->as<Identity>();
  return identity != nullptr && identity->form == form;
}

/// Whether a term has a δ.
bool is_structured(const Term& t) {
  const auto* einsum = t.node->as<Einsum>();
  if (einsum == nullptr) return t.node->as<Identity>() != nullptr;
  return std::ranges::any_of(einsum->factors, [](const Factor& f) { return is_form(f, Identity::Form::Delta); });
}

/// The axes of an expression along which it is not merely repeated.
Labels axes_of(const Expr& e) {
  const auto* einsum = e->as<Einsum>();
  if (einsum == nullptr) return labels_from(0, e->ndim());
  Labels axes;
  for (char axis : labels_from(0, e->ndim())) {
    auto has_axis = [axis](const Factor& f) { return f.labels.find(axis) != Labels::npos; };
    if (std::ranges::any_of(einsum->factors, has_axis)) axes += axis;
  }
  return axes;
}

}  // namespace

bool has_delta(const Sum& sum) {
  return std::ranges::any_of(sum.terms, is_structured);
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

/// Σ_j G[i,j] = 1.
bool Product::sum_gather() {
  for (size_t k = 0; k < factors_.size(); ++k) {
    if (!factors_[k].node->as<Gather>()) continue;
    const int given = label_of(factors_[k].labels.back());
    if (!is_summed(given) || count(given) != 1) continue;
    lengths_[size_t(given)] = Expr();
    remove(k);
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
  static const Op &exp = op("exp"), &sigmoid = op("sigmoid");
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

/// A δ takes the length that its labels have in other factors, or else in the result.
void Product::make_deltas_canonical() {
  Lengths best(lengths_.size());
  for (const Factor& f : factors_) {
    if (is_form(f, Identity::Form::Delta)) continue;
    for (size_t axis = 0; axis < f.labels.size(); ++axis) {
      Expr& length = best[size_t(label_of(f.labels[axis]))];
      length = common_length(length, f.node->lengths[axis]);
    }
  }
  for (size_t label = 0; label < best.size(); ++label) {
    if (!best[label]) best[label] = lengths_[label];
  }
  for (int round = 0; round < 2; ++round) {  // δ[i,j] δ[i,k]: all three are equal
    for (Factor& f : factors_) {
      if (!is_form(f, Identity::Form::Delta)) continue;
      Expr &a = best[size_t(label_of(f.labels[0]))], &b = best[size_t(label_of(f.labels[1]))];
      a = b = common_length(a, b);
      f.node = delta(a);
    }
  }
  lengths_ = std::move(best);
}

/// f Σ t = Σ f t for a sum whose terms have a δ, which contracts with f, and for a sum of two terms one of which has;
/// scalars stay factors of the sum. Longer sums, or several, aren't distributed: the number of terms would multiply.
/// A sum that is only summed along axes is distributed by the axes that its terms depend on: Σ_i (x[i] + y[i] − m) =
/// Σ_i (x[i] + y[i]) − n m.
std::optional<Expr> Product::distributed() const {
  const Factor* which = nullptr;
  bool is_alone = false;
  for (const Factor& f : factors_) {
    const auto* sum = f.node->as<Sum>();
    if (sum == nullptr || f.exponent != 1 || f.guard) continue;
    is_alone = std::ranges::all_of(factors_, [&](const Factor& g) { return g.labels.empty() || &g == &f; });
    if (!has_delta(*sum) && !is_alone) continue;
    const bool is_long = !std::ranges::all_of(sum->terms, is_structured) && sum->terms.size() > 2;
    if (which != nullptr || (!is_alone && is_long)) return std::nullopt;
    which = &f;
  }
  if (which == nullptr) return std::nullopt;
  std::vector<Factor> scalars, others;
  for (const Factor& f : factors_) {
    if (&f != which) (f.labels.empty() ? scalars : others).push_back(f);
  }
  const bool contracts = std::ranges::any_of(which->labels, [this](char c) { return is_summed(label_of(c)); });
  if (others.empty() && !contracts) return std::nullopt;
  const auto& sum = *which->node->as<Sum>();
  std::map<Labels, std::vector<Term>> groups;
  for (const Term& t : sum.terms) {
    Labels depends;
    for (char axis : axes_of(t.node)) {
      const char label = which->labels[size_t(label_of(axis))];
      if (is_summed(label_of(label))) depends += label;
    }
    // terms with a δ are each a group
    if (has_delta(sum)) depends = char(groups.size());
    groups[depends].push_back(t);
  }
  if (groups.size() == 1) return std::nullopt;
  const Lengths lengths(lengths_.begin(), lengths_.begin() + ndim_);
  std::vector<Term> terms;
  for (auto& [unused, group] : groups) {
    std::vector<Factor> factors = others;
    factors.push_back({expr::sum(std::move(group), which->node->lengths), which->labels});
    terms.push_back({1, einsum(1, std::move(factors), lengths)});
  }
  scalars.push_back({expr::sum(std::move(terms), lengths), labels_from(0, ndim_)});
  return einsum(coefficient_, std::move(scalars), lengths);
}

/// A sum with its axes permuted is the sum of its terms with their axes permuted. (Of the two sums with two axes that
/// are each other's transpose, one stands for both.)
std::optional<Expr> Product::permuted_sum() const {
  const auto labelled = std::ranges::find_if(factors_, [](const Factor& f) { return !f.labels.empty(); });
  if (labelled == factors_.end() || labelled->exponent != 1 || labelled->guard) return std::nullopt;
  const auto* sum = labelled->node->as<Sum>();
  const Labels in_order = labels_from(0, ndim_);
  if (sum == nullptr || labelled->labels == in_order) return std::nullopt;
  if (!std::ranges::is_permutation(labelled->labels, in_order)) return std::nullopt;
  std::vector<Factor> scalars;
  for (const Factor& f : factors_) {
    if (&f == &*labelled) continue;
    if (!f.labels.empty()) return std::nullopt;
    scalars.push_back(f);
  }
  const Lengths lengths(lengths_.begin(), lengths_.begin() + ndim_);
  std::vector<Term> terms;
  for (const Term& t : sum->terms) terms.push_back({t.coefficient, broadcast(t.node, labelled->labels, lengths)});
  scalars.push_back({expr::sum(std::move(terms), lengths), in_order});
  return einsum(coefficient_, std::move(scalars), lengths);
}

}  // namespace matgrad::expr
