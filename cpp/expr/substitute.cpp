// Replacing parts of expressions.
#include <unordered_map>

#include "expr/product.h"

namespace matgrad::expr {

Expr with_operands(const Expr& e, std::span<const Expr> operands) {
  size_t next = 0;
  if (const auto* einsum_ = e->as<Einsum>()) {
    std::vector<Factor> factors = einsum_->factors;
    for (Factor& f : factors) f.node = operands[next++];
    return einsum(einsum_->coefficient, std::move(factors), e->lengths);
  }
  if (const auto* sum_ = e->as<Sum>()) {
    std::vector<Term> terms = sum_->terms;
    for (Term& t : terms) t.node = operands[next++];
    return sum(std::move(terms), Lengths(size_t(e->ndim())));
  }
  if (const auto* map_ = e->as<Map>()) return map(*map_->op, {operands.begin(), operands.end()});
  if (const auto* reduce_ = e->as<Reduce>()) return reduce(reduce_->reduction, operands[0], reduce_->axes);
  if (const auto* linalg_ = e->as<Linalg>()) return linalg(linalg_->op, operands[0], linalg_->cutoff);
  if (const auto* slice_ = e->as<SliceLength>()) return slice(operands[0], slice_->bounds)->lengths[0];
  if (e->as<Gather>()) return gather(operands[0], e->lengths.back());
  return e;
}

Expr resized(const Expr& e, const Lengths& lengths) {
  if (const auto* triangle_ = e->as<Triangle>()) return triangle(lengths[0], lengths[1], triangle_->offset);
  const auto& identity = *e->as<Identity>();
  switch (identity.form) {
    case Identity::Form::Slice:
      return slice(lengths[1], identity.bounds);
    case Identity::Form::Element:
      return element(lengths[0], *identity.bounds.start);
    case Identity::Form::Reshape:
      return reshape_tensor({lengths.begin() + 1, lengths.end()});
    default:
      return delta(lengths[0]);
  }
}

namespace {

/// Replaces nodes from the leaves up; each node once.
class Substitution {
 public:
  explicit Substitution(const std::vector<std::pair<Expr, Expr>>& replacements) {
    for (const auto& [from, to] : replacements) {
      if (from->ndim() != to->ndim()) throw ShapeError("what replaces a node has another number of axes");
      done_.emplace(from.get(), to);
      if (const auto* symbol = from->as<Symbol>()) {
        for (int axis = 0; axis < from->ndim(); ++axis) {
          const Expr own = size(symbol->name, axis);
          if (own == from->lengths[size_t(axis)]) {
            done_.emplace(own.get(), to->lengths[size_t(axis)]);
            kept_.push_back(own);
          }
        }
      }
    }
  }

  Expr apply(const Expr& root) {
    for (const Expr& e : topological_order({root})) {
      if (!done_.contains(e.get())) done_.emplace(e.get(), rebuilt(e));
    }
    return done_.at(root.get());
  }

 private:
  Expr rebuilt(const Expr& e) {
    std::vector<Expr> operands;
    bool changed = false;
    for_each_operand(*e, [&](const Expr& operand) {
      operands.push_back(done_.at(operand.get()));
      changed = changed || operands.back() != operand;
    });
    Lengths lengths;
    for (const Expr& length : e->lengths) {
      lengths.push_back(apply(length));
      changed = changed || lengths.back() != length;
    }
    if (!changed) return e;
    if (const auto* einsum_ = e->as<Einsum>()) {
      std::vector<Factor> factors = einsum_->factors;
      for (size_t k = 0; k < factors.size(); ++k) factors[k].node = operands[k];
      return einsum(einsum_->coefficient, std::move(factors), std::move(lengths));
    }
    if (e->as<Identity>() || e->as<Triangle>()) return resized(e, lengths);
    if (e->as<Gather>()) return gather(operands[0], lengths.back());
    return with_operands(e, operands);
  }

  std::unordered_map<const Node*, Expr> done_;
  Lengths kept_;
};

}  // namespace

Expr substitute(const Expr& e, const std::vector<std::pair<Expr, Expr>>& replacements) {
  return Substitution(replacements).apply(e);
}

}  // namespace matgrad::expr
