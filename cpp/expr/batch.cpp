// Stacks: expressions of arrays as expressions of stacks of arrays.
#include "expr/batch.h"

#include <algorithm>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "expr/build.h"

namespace matgrad::expr {
namespace {

Labels moved(const Labels& labels) {
  Labels result = labels;
  for (char& label : result) ++label;
  return result;
}

Labels with_stack(const Labels& labels) {
  Labels result = moved(labels);
  result.insert(result.begin(), char(0));
  return result;
}

/// Rewrites nodes from the leaves up. One that depends on a stack gets an axis in front; others keep theirs.
class Batching {
 public:
  Batching(const std::vector<Expr>& symbols, const std::vector<bool>& are_stacks) {
    for (size_t k = 0; k < symbols.size(); ++k) {
      if (are_stacks[k]) names_.insert(symbols[k]->as<Symbol>()->name);
    }
  }

  Expr operator()(const Expr& root) {
    for (const Expr& e : topological_order({root})) {
      if (!done_.contains(e.get())) done_.emplace(e.get(), rewritten(e));
    }
    return done_.at(root.get());
  }

  /// With the axis in front, even if all problems have the same value.
  Expr stacked(const Expr& root) {
    const Expr known = (*this)(root);
    return is_stack(root) ? known : repeated(known);
  }

 private:
  bool is_stack(const Expr& e) const { return stacks_.contains(e.get()); }

  Expr repeated(const Expr& e) const { return broadcast(e, labels_from(1, e->ndim()), in_front(e->lengths)); }

  Lengths in_front(Lengths lengths) const {
    lengths.insert(lengths.begin(), count_);
    return lengths;
  }

  Lengths lengths_of(const Expr& e) {
    Lengths lengths;
    for (const Expr& length : e->lengths) lengths.push_back((*this)(length));
    return lengths;
  }

  Expr rewritten(const Expr& e) {
    bool depends = e->as<Symbol>() && names_.contains(e->as<Symbol>()->name);
    for_each_operand(*e, [&](const Expr& operand) { depends |= is_stack(operand); });
    if (depends) stacks_.insert(e.get());
    if (auto* symbol_ = e->as<Symbol>()) {
      return depends ? symbol(symbol_->name, in_front(lengths_of(e)))
                     : symbol(symbol_->name, lengths_of(e), e->symmetric);
    }
    if (auto* size_ = e->as<Size>()) {
      return size_->axis >= 0 && names_.contains(size_->name) ? size(size_->name, size_->axis + 1) : e;
    }
    if (e->as<Identity>() || e->as<Triangle>()) return resized(e, lengths_of(e));
    if (auto* gather_ = e->as<Gather>()) return gather(done_.at(gather_->index.get()), lengths_of(e).back());
    if (auto* einsum_ = e->as<Einsum>()) {
      std::vector<Factor> factors = einsum_->factors;
      for (Factor& f : factors) {
        if (depends) f.labels = is_stack(f.node) ? with_stack(f.labels) : moved(f.labels);
        f.node = done_.at(f.node.get());
      }
      const Lengths lengths = lengths_of(e);
      return einsum(einsum_->coefficient, std::move(factors), depends ? in_front(lengths) : lengths);
    }
    if (auto* reduce_ = e->as<Reduce>()) {
      return reduce(reduce_->reduction, done_.at(reduce_->operand.get()),
                    depends ? moved(reduce_->axes) : reduce_->axes);
    }
    std::vector<Expr> operands;
    for_each_operand(*e, [&](const Expr& operand) {
      const Expr known = done_.at(operand.get());
      operands.push_back(depends && !is_stack(operand) ? repeated(known) : known);
    });
    if (auto* sum_ = e->as<Sum>()) {
      std::vector<Term> terms = sum_->terms;
      for (size_t k = 0; k < terms.size(); ++k) terms[k].node = operands[k];
      return sum(std::move(terms), Lengths(size_t(e->ndim() + depends)));
    }
    return with_operands(e, operands);
  }

  const Expr count_ = size("<stack>");
  std::set<std::string> names_;  ///< of the symbols that are stacks
  std::unordered_map<const Node*, Expr> done_;
  std::unordered_set<const Node*> stacks_;
};

}  // namespace

Definition batched(const Definition& one, const std::vector<bool>& are_stacks) {
  Batching batching(one.symbols, are_stacks);
  Definition result;
  for (const Expr& e : one.results) result.results.push_back(batching.stacked(e));
  for (const Expr& e : one.symbols) result.symbols.push_back(batching(e));
  for (const Expr& e : one.checked) result.checked.push_back(batching(e));
  return result;
}

}  // namespace matgrad::expr
