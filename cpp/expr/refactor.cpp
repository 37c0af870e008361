// One form for a sum of products, however it was put together.
#include "expr/refactor.h"

#include <optional>

#include "expr/build.h"

namespace matgrad::expr {
namespace {

constexpr size_t kMostTerms = 16;

/// Distributes products over sums.
class Expansion {
 public:
  explicit Expansion(const std::unordered_set<const Node*>& kept) : kept_(kept) {}

  /// Adds the terms of coefficient e; false if they are too many.
  bool add(double coefficient, const Expr& e, std::vector<Term>& terms) const {
    if (const auto* sum = e->as<Sum>(); sum != nullptr && !kept_.contains(e.get())) {
      for (const Term& t : sum->terms) {
        if (!add(coefficient * t.coefficient, t.node, terms)) return false;
      }
      return true;
    }
    const auto* product = e->as<Einsum>();
    for (size_t k = 0; product != nullptr && k < product->factors.size(); ++k) {
      const Factor& f = product->factors[k];
      if (f.exponent != 1 || f.guard) continue;
      const bool is_scalar = f.labels.empty() && f.node->as<Einsum>() != nullptr;
      if (f.node->as<Sum>() == nullptr && !is_scalar) continue;
      std::vector<Term> inner;
      if (!add(1, f.node, inner)) return false;
      if (inner.size() == 1) continue;
      for (const Term& t : inner) {
        std::vector<Factor> factors = product->factors;
        factors[k].node = t.node;
        const Expr part = einsum(product->coefficient * t.coefficient, std::move(factors), e->lengths);
        if (!add(coefficient, part, terms)) return false;
      }
      return true;
    }
    terms.push_back({coefficient, e});
    return terms.size() <= kMostTerms;
  }

 private:
  const std::unordered_set<const Node*>& kept_;
};

}  // namespace

Expr refactored(const Expr& e, const std::unordered_set<const Node*>& kept) {
  std::vector<Term> terms;
  if (!Expansion(kept).add(1, e, terms) || terms.size() < 2) return e;
  return sum(std::move(terms), e->lengths);
}

}  // namespace matgrad::expr
