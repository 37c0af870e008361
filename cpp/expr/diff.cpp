// Differentiation: one rule per node kind, and the chain rule as elimination of what lies between.
#include "expr/diff.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "expr/build.h"
#include "expr/diff_linalg.h"
#include "expr/refactor.h"

namespace matgrad::expr {
namespace {

Lengths joined(Lengths a, const Lengths& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// Π δ[i_k, j_k] for two sets of axes of the same lengths.
std::vector<Factor> deltas(const Lengths& lengths, const Labels& i, const Labels& j) {
  std::vector<Factor> factors;
  for (size_t k = 0; k < lengths.size(); ++k) factors.push_back({delta(lengths[k]), Labels{i[k], j[k]}});
  return factors;
}

/// The derivative of an elementwise operation by an operand, given the partial derivative in every entry.
Expr elementwise(double coefficient, const Expr& partial, const Expr& operand) {
  const int n = operand->ndim();
  auto factors = deltas(operand->lengths, labels_from(0, n), labels_from(n, n));
  if (partial) factors.push_back({partial, labels_from(0, n)});
  return einsum(coefficient, std::move(factors), joined(operand->lengths, operand->lengths));
}

/// ∂/∂f of c Π f^e: c e f^(e−1) Π others. Where f is at its minimum 0, the derivative of f^e, 0 < e < 1, is 0.
Expr by_factor(const Expr& node, const Einsum& product, size_t which) {
  const int ndim = node->ndim();
  std::vector<Factor> factors = product.factors;
  const Factor f = factors[which];
  const int n = f.node->ndim();
  for (Factor& other : factors) {
    for (char& label : other.labels) {
      if (uint8_t(label) >= ndim) label = char(uint8_t(label) + n);
    }
  }
  Factor& power = factors[which];
  const Labels labels = power.labels;
  power.exponent -= 1;
  power.guard = f.guard || (f.exponent > 0 && f.exponent < 1 && is_nonnegative(f.node));
  for (Factor& d : deltas(f.node->lengths, labels_from(ndim, n), labels)) factors.push_back(std::move(d));
  return einsum(product.coefficient * f.exponent, std::move(factors), joined(node->lengths, f.node->lengths));
}

/// The derivative of a reduction in every entry of the operand.
/// max: 1 at the largest entry, shared equally where there are several. logsumexp: exp(x − logsumexp(x)).
Expr reduction_weights(const Expr& node, const Reduce& reduce) {
  const Expr& x = reduce.operand;
  Labels axes;  // of x, that remain
  for (int axis = 0; axis < x->ndim(); ++axis) {
    if (reduce.axes.find(char(axis)) == Labels::npos) axes += char(axis);
  }
  const Expr value = broadcast(node, axes, x->lengths);
  if (reduce.reduction == Reduction::LogSumExp) return map("exp", {x - value});
  const Expr hits = map("equal", {x, value});
  const Expr count = sum_over(hits, reduce.axes);
  return hits * broadcast(power(count, -1), axes, x->lengths);
}

/// ∂ Π_j x[j] / ∂x[k] = Π_j (x[j] where j ≠ k, else 1): no division, so zeros do no harm.
Expr by_operand_of_product(const Expr& node, const Reduce& reduce) {
  const Expr& x = reduce.operand;
  const int n = x->ndim(), reduced = int(reduce.axes.size());
  // the entries with those at k replaced by 1: x + δ (1 − x), with axes x and then k
  Lengths k_lengths;
  Labels x_labels = labels_from(0, n), at, k_labels = labels_from(n, reduced);
  for (char axis : reduce.axes) {
    k_lengths.push_back(x->lengths[size_t(axis)]);
    at += axis;
  }
  const Lengths lengths = joined(x->lengths, k_lengths);
  auto here = deltas(k_lengths, at, k_labels);
  auto x_here = here;
  x_here.push_back({x, x_labels});
  const Expr others =
      sum({{1, einsum(1, {{x, x_labels}}, lengths)}, {1, einsum(1, here, lengths)}, {-1, einsum(1, x_here, lengths)}},
          lengths);
  const Expr products = expr::reduce(Reduction::Prod, others, reduce.axes);  // axes: those that remain, then k
  // the result's axes, then the operand's: δ where they are the same axis, k where it is reduced
  Labels products_labels = labels_from(0, node->ndim()), kept;
  for (int axis = 0; axis < n; ++axis) {
    const bool is_reduced = reduce.axes.find(char(axis)) != Labels::npos;
    (is_reduced ? products_labels : kept) += char(node->ndim() + axis);
  }
  auto factors = deltas(node->lengths, labels_from(0, node->ndim()), kept);
  factors.push_back({products, products_labels});
  return einsum(1, std::move(factors), joined(node->lengths, x->lengths));
}

Expr by_operand_of_reduction(const Expr& node, const Reduce& reduce) {
  if (reduce.reduction == Reduction::Prod) return by_operand_of_product(node, reduce);
  const Expr& x = reduce.operand;
  Labels operand = labels_from(node->ndim(), x->ndim()), kept;
  for (int axis = 0; axis < x->ndim(); ++axis) {
    if (reduce.axes.find(char(axis)) == Labels::npos) kept += operand[size_t(axis)];
  }
  auto factors = deltas(node->lengths, labels_from(0, node->ndim()), kept);
  factors.push_back({reduction_weights(node, reduce), operand});
  return einsum(1, std::move(factors), joined(node->lengths, x->lengths));
}

template <class Wanted>
std::vector<Partial> partials_of(const Expr& node, const Wanted& wanted) {
  std::vector<Partial> found;
  auto add = [&](const Expr& operand, const Expr& derivative) {
    if (as_full(derivative) == 0) return;
    for (Partial& p : found) {
      if (p.operand != operand) continue;
      p.derivative = p.derivative + derivative;
      return;
    }
    found.push_back({operand, derivative});
  };
  if (const auto* product = node->as<Einsum>()) {
    for (size_t k = 0; k < product->factors.size(); ++k) {
      if (wanted(product->factors[k].node)) add(product->factors[k].node, by_factor(node, *product, k));
    }
  } else if (const auto* sum_ = node->as<Sum>()) {
    for (const Term& t : sum_->terms) {
      if (wanted(t.node)) add(t.node, elementwise(t.coefficient, Expr(), t.node));
    }
  } else if (const auto* map_ = node->as<Map>()) {
    for (size_t k = 0; k < map_->operands.size(); ++k) {
      const auto partial = map_->op->partials[k];
      if (partial != nullptr && wanted(map_->operands[k])) {
        add(map_->operands[k], elementwise(1, partial(node, map_->operands), map_->operands[k]));
      }
    }
  } else if (const auto* reduce_ = node->as<Reduce>()) {
    const bool is_position = reduce_->reduction >= Reduction::ArgMax;  // piecewise constant
    if (!is_position && wanted(reduce_->operand)) add(reduce_->operand, by_operand_of_reduction(node, *reduce_));
  } else if (const auto* linalg_ = node->as<Linalg>()) {
    if (!wanted(linalg_->operand)) return found;
    if (const Expr derivative = by_operand_of_linalg(node)) add(linalg_->operand, derivative);
  }
  return found;
}

/// The chain rule over a graph of nodes: an edge from a node to another holds the derivative of the one by the other.
class Elimination {
 public:
  Elimination(const Expr& y, const std::vector<Expr>& x) : y_(y) {
    for (const Expr& variable : x) variables_.insert(variable.get());
    std::unordered_set<const Node*> active(variables_);
    keep_sums(y);
    for (const Expr& node : topological_order({y})) {
      if (variables_.contains(node.get())) continue;
      bool depends = false;
      for_each_operand(*node, [&](const Expr& operand) { depends = depends || active.contains(operand.get()); });
      if (!depends) continue;
      if (has_directional_rule(node)) {
        active.insert(node.get());
        add_edge(node, node->as<Linalg>()->operand, Expr());
        if (node != y) between_.push_back(node);
        continue;
      }
      const auto found = partials_of(node, [&](const Expr& operand) { return active.contains(operand.get()); });
      if (found.empty()) continue;
      active.insert(node.get());
      for (const Partial& p : found) {
        add_edge(node, p.operand, p.derivative);
        if (node->as<Einsum>() == nullptr && node->as<Sum>() == nullptr) keep_sums(p.derivative);
      }
      if (node != y) between_.push_back(node);
    }
  }

  /// Eliminates all nodes between y and the variables.
  void run(Mode mode) {
    if (mode == Mode::Reverse) std::ranges::reverse(between_);
    for (auto next = between_.begin(); next != between_.end(); ++next) {
      if (mode == Mode::CrossCountry) {
        std::iter_swap(next, std::min_element(next, between_.end(),
                                              [this](const Expr& a, const Expr& b) { return cost(a) < cost(b); }));
      }
      eliminate(*next);
    }
  }

  /// ∂y/∂x, zero if there is none.
  Expr derivative(const Expr& x) {
    const Lengths lengths = joined(y_->lengths, x->lengths);
    if (x == y_) {
      return einsum(1, deltas(x->lengths, labels_from(0, x->ndim()), labels_from(x->ndim(), x->ndim())), lengths);
    }
    const auto edge = below_[y_.get()].find(x.get());
    if (edge == below_[y_.get()].end()) return full(0, lengths);
    const bool is_directional = edge->second.is_directional();
    const Expr whole = is_directional ? by_operand_of_linalg(y_) : total(edge->second.terms, lengths);
    return refactored(whole, kept_sums_);
  }

 private:
  struct Edge {
    Expr to;
    std::vector<Term>
        terms{};  ///< whose sum is the derivative; null for the one edge of a node with a directional rule
    bool is_directional() const { return !terms[0].node; }
  };
  using Edges = std::unordered_map<const Node*, Edge>;

  /// Sums that were there, in the function or in the derivative of one of its nodes, stay as they are.
  void keep_sums(const Expr& e) {
    std::vector<Expr> stack{e};
    while (!stack.empty()) {
      const Expr node = std::move(stack.back());
      stack.pop_back();
      if (!seen_.insert(node.get()).second) continue;
      kept_.push_back(node);
      if (node->as<Sum>() != nullptr) kept_sums_.insert(node.get());
      for_each_operand(*node, [&](const Expr& operand) { stack.push_back(operand); });
    }
  }

  void add_edge(const Expr& from, const Expr& to, const Expr& derivative) {
    Edge& edge = below_[from.get()].try_emplace(to.get(), Edge{to}).first->second;
    edge.terms.push_back({1, derivative});
    above_[to.get()].try_emplace(from.get(), from);
  }

  static Expr total(const std::vector<Term>& terms, const Lengths& lengths) {
    return terms.size() == 1 ? terms[0].node : sum(terms, lengths);
  }

  /// How many axes the products have that the elimination of v takes.
  int64_t cost(const Expr& v) {
    int64_t axes = 0;
    for (const auto& [unused, from] : above_[v.get()]) {
      for (const auto& [unused_too, edge] : below_[v.get()]) {
        axes += from->ndim() + 2 * v->ndim() + edge.to->ndim();
      }
    }
    return axes;
  }

  /// ∂w/∂v ∂v/∂u.
  static Expr multiplied(const Expr& w, const Edge& outer, const Expr& v, const Edge& inner) {
    const Expr& u = inner.to;
    if (outer.is_directional()) {
      return pushed_forward(
          w, inner.is_directional() ? by_operand_of_linalg(v) : total(inner.terms, joined(v->lengths, u->lengths)));
    }
    const Expr left = total(outer.terms, joined(w->lengths, v->lengths));
    if (inner.is_directional()) return pulled_back(v, left);
    const Labels of_w = labels_from(0, w->ndim()), of_u = labels_from(w->ndim(), u->ndim());
    const Labels of_v = labels_from(w->ndim() + u->ndim(), v->ndim());
    const Expr right = total(inner.terms, joined(v->lengths, u->lengths));
    return einsum(1, {{left, of_w + of_v}, {right, of_v + of_u}}, joined(w->lengths, u->lengths));
  }

  /// ∂w/∂u += ∂w/∂v ∂v/∂u for all w directly above v, and all u directly below.
  void eliminate(const Expr& v) {
    const auto above = std::move(above_[v.get()]);
    const auto below = std::move(below_[v.get()]);
    for (const auto& [unused, w] : above) {
      auto& edges = below_[w.get()];
      const auto place = edges.find(v.get());
      const Edge outer = std::move(place->second);
      edges.erase(place);
      for (const auto& [unused_too, inner] : below) {
        const Expr product = multiplied(w, outer, v, inner);
        if (as_full(product) != 0) add_edge(w, inner.to, product);
      }
    }
    for (const auto& [u, unused] : below) above_[u].erase(v.get());
  }

  Expr y_;
  std::unordered_set<const Node*> variables_, kept_sums_, seen_;
  std::vector<Expr> kept_{};  ///< keeps what was seen alive
  std::vector<Expr> between_;
  std::unordered_map<const Node*, Edges> below_;
  std::unordered_map<const Node*, std::unordered_map<const Node*, Expr>> above_;
};

}  // namespace

std::vector<Partial> partials(const Expr& node) {
  return partials_of(node, [](const Expr&) { return true; });
}

std::vector<Expr> diff(const Expr& y, const std::vector<Expr>& x, Mode mode) {
  if (mode == Mode::Auto) {
    int axes = 0;
    for (const Expr& variable : x) axes = std::max(axes, variable->ndim());
    mode = y->ndim() <= axes ? Mode::Reverse : Mode::Forward;
  }
  Elimination elimination(y, x);
  elimination.run(mode);
  std::vector<Expr> derivatives;
  for (const Expr& variable : x) derivatives.push_back(elimination.derivative(variable));
  return derivatives;
}

Expr derivative(const Expr& y, const std::vector<Expr>& variables, Mode mode) {
  Expr result = y;
  for (size_t k = 0; k < variables.size(); ++k) {
    result = diff(result, {variables[k]}, mode)[0];
    const int n = variables[k]->ndim(), last = result->ndim() - n;
    for (int j = 0, block = y->ndim(); size_t(j) < k && n > 0; block += variables[size_t(j++)]->ndim()) {
      if (variables[size_t(j)] != variables[k]) continue;
      Labels permutation = labels_from(0, result->ndim());
      for (int axis = 0; axis < n; ++axis)
        std::swap(permutation[size_t(block + axis)], permutation[size_t(last + axis)]);
      const Expr swapped = transpose(result, permutation);
      if (swapped->hash < result->hash) result = swapped;
    }
  }
  return result;
}

}  // namespace matgrad::expr
