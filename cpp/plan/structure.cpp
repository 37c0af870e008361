// The structure of a derivative: which of its parts are computed once, and what remains of identities between axes.
#include "plan/structure.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>
#include <string>

#include "expr/build.h"
#include "plan/lower.h"

namespace matgrad::plan {

using namespace expr;

namespace {

/// The most terms that products are multiplied out to.
constexpr size_t kMostTerms = 64;

bool has(const Labels& labels, char label) {
  return labels.find(label) != Labels::npos;
}

bool is_scalar(const Factor& factor) {
  return factor.labels.empty();
}

/// Whether a product with a sum is better known by the sum's terms: because they have identities, or because the sum is
/// all that has axes.
bool is_distributed(const Einsum& product, size_t position) {
  const Factor& factor = product.factors[position];
  if (!factor.node->as<Sum>() || factor.exponent != 1 || factor.guard) return false;
  return is_sparse(factor.node) ||
         std::ranges::count_if(product.factors, is_scalar) + 1 == ptrdiff_t(product.factors.size());
}

/// Adds the terms whose sum is coefficient e.
void add_terms(double coefficient, const Expr& e, std::vector<Term>& terms) {
  if (as_full(e) == 0) return;
  if (const auto* sum = e->as<Sum>()) {
    for (const Term& term : sum->terms) add_terms(coefficient * term.coefficient, term.node, terms);
    return;
  }
  const auto* product = e->as<Einsum>();
  for (size_t k = 0; product != nullptr && k < product->factors.size() && terms.size() < kMostTerms; ++k) {
    if (!is_distributed(*product, k)) continue;
    for (const Term& term : product->factors[k].node->as<Sum>()->terms) {
      std::vector<Factor> factors = product->factors;
      factors[k].node = term.node;
      add_terms(coefficient, einsum(product->coefficient * term.coefficient, std::move(factors), e->lengths), terms);
    }
    return;
  }
  terms.push_back({coefficient, e});
}

/// Tensors that are one core, and the labels that it keeps.
struct Group {
  std::vector<Factor> factors;
  Labels labels;
};

/// A term on its way to cores and identities.
class TermParts {
 public:
  TermParts(const Term& term, const LengthTable& table) : coefficient(term.coefficient), ndim_(term.node->ndim()) {
    for (const Expr& length : term.node->lengths) lengths.push_back(table.length(length));
    const auto* product = term.node->as<Einsum>();
    if (product != nullptr) coefficient *= product->coefficient;
    const std::vector<Factor> alone{factor(term.node, labels_from(0, ndim_))};
    for (const Factor& f : product != nullptr ? product->factors : alone) {
      for (size_t axis = 0; axis < f.labels.size(); ++axis) {
        const auto label = size_t(uint8_t(f.labels[axis]));
        if (label >= lengths.size()) lengths.resize(label + 1, 1);
        lengths[label] = table.length(f.node->lengths[axis]);
      }
      if (f.node->as<Size>() || f.node->as<SliceLength>()) {
        coefficient *= std::pow(table.value(f.node), f.exponent);
      } else if (f.node->as<Identity>() && f.exponent == 1 && !f.guard) {
        identities.push_back(f);
      } else {
        groups.push_back({{f}, {}});
      }
    }
    for (size_t k = 0; k < groups.size(); ++k) groups[k].labels = kept({k});
  }

  /// Joins tensors whose product is not larger than they are.
  void contract() {
    const auto separate = groups;
    while (true) {
      double best = 0;
      std::optional<std::pair<size_t, size_t>> pair;
      for (size_t i = 0; i < groups.size(); ++i) {
        for (size_t j = i + 1; j < groups.size(); ++j) {
          const bool are_joined =
              groups[i].labels.empty() || groups[j].labels.empty() ||
              std::ranges::any_of(groups[i].labels, [&](char c) { return has(groups[j].labels, c); });
          const double growth = size(kept({i, j})) - size(groups[i].labels) - size(groups[j].labels);
          if (!are_joined || growth > best) continue;
          best = growth;
          pair = {i, j};
        }
      }
      if (!pair) break;
      join(pair->first, pair->second);
    }
    if (memory(separate) < memory(groups)) groups = separate;
    apply_guards();
  }

  /// A group as a tensor over its labels.
  Expr core(const Group& group) const {
    if (group.factors.size() == 1) {
      const Factor& only = group.factors[0];
      if (only.exponent == 1 && !only.guard && only.labels == group.labels) return only.node;
    }
    Labels order = group.labels;  // of a label's place is what it becomes
    std::vector<Factor> factors = group.factors;
    for (Factor& f : factors) {
      for (char& label : f.labels) {
        if (!has(order, label)) order += label;
        label = char(order.find(label));
      }
    }
    return einsum(1, std::move(factors), expr::Lengths(group.labels.size()));
  }

  double coefficient;
  std::vector<int64_t> lengths{};  ///< of labels
  std::vector<Factor> identities{};
  std::vector<Group> groups{};

 private:
  double size(const Labels& labels) const {
    double product = 1;
    for (char label : labels) product *= double(lengths[uint8_t(label)]);
    return product;
  }

  /// The elements of the cores, of which equal ones are stored once.
  double memory(const std::vector<Group>& some) const {
    std::vector<Expr> known;
    double total = 0;
    for (const Group& group : some) {
      const Expr tensor = core(group);
      if (std::ranges::find(known, tensor) != known.end()) continue;
      known.push_back(tensor);
      total += size(group.labels);
    }
    return total;
  }

  /// The labels of some groups that the result has, an identity or another group.
  Labels kept(const std::vector<size_t>& some) const {
    Labels own, result;
    for (size_t k : some) {
      for (const Factor& f : groups[k].factors) {
        for (char label : f.labels) {
          if (!has(own, label)) own += label;
        }
      }
    }
    auto is_elsewhere = [&](char label) {
      if (uint8_t(label) < ndim_) return true;
      for (size_t k = 0; k < groups.size(); ++k) {
        if (std::ranges::find(some, k) != some.end()) continue;
        if (std::ranges::any_of(groups[k].factors, [&](const Factor& f) { return has(f.labels, label); })) return true;
      }
      return std::ranges::any_of(identities, [&](const Factor& f) { return has(f.labels, label); });
    };
    std::ranges::copy_if(own, std::back_inserter(result), is_elsewhere);
    if (some.size() > 1) std::ranges::sort(result, {}, [](char c) { return uint8_t(c); });
    return result;
  }

  void join(size_t i, size_t j) {
    Labels labels = kept({i, j});
    auto& factors = groups[i].factors;
    factors.insert(factors.end(), groups[j].factors.begin(), groups[j].factors.end());
    groups[i].labels = std::move(labels);
    groups.erase(groups.begin() + ptrdiff_t(j));
  }

  /// Where a guard is zero all other tensors must be, too, as they may be infinite: those over its labels take it up,
  /// the others are joined with it.
  void apply_guards() {
    std::vector<Factor> guards;
    for (const Group& group : groups) std::ranges::copy_if(group.factors, std::back_inserter(guards), &Factor::guard);
    for (const Factor& guard : guards) {
      auto holds = [&](const Group& group) {
        return std::ranges::any_of(group.factors, [&](const Factor& f) {
          return f.guard && f.node == guard.node && f.labels == guard.labels;
        });
      };
      const auto covers = [&](const Group& group) {
        return std::ranges::all_of(guard.labels, [&](char label) { return has(group.labels, label); });
      };
      auto holder = size_t(std::ranges::find_if(groups, holds) - groups.begin());
      for (size_t k = 0; k < groups.size(); ++k) {
        if (holds(groups[k])) continue;
        if (covers(groups[k])) {
          groups[k].factors.push_back({guard.node, guard.labels, 0, true});
        } else {
          join(std::min(holder, k), std::max(holder, k));
          holder = std::min(holder, k);
          --k;
        }
      }
    }
  }

  int ndim_;
};

Equation equation_of(const Factor& factor, const std::vector<int64_t>& lengths) {
  const auto& identity = *factor.node->as<Identity>();
  const Labels& labels = factor.labels;
  auto length = [&](char label) { return lengths[uint8_t(label)]; };
  Equation equation{labels[0], 0, {}};
  switch (identity.form) {
    case Identity::Form::Delta:
      equation.others = {{labels[1], 1}};
      break;
    case Identity::Form::Element:
      equation.offset = identity.bounds.start.value_or(0);
      if (equation.offset < 0) equation.offset += length(labels[0]);
      break;
    case Identity::Form::Slice: {
      const Slice slice = resolve(identity.bounds, length(labels[1]));
      equation = {labels[1], slice.start, {{labels[0], slice.step}}};
      break;
    }
    case Identity::Form::Reshape:
      for (int64_t axis = int64_t(labels.size()), stride = 1; axis-- > 1; stride *= length(labels[size_t(axis)])) {
        equation.others.emplace_back(labels[size_t(axis)], stride);
      }
      break;
  }
  return equation;
}

/// The same identity between axes of known lengths.
Expr of_lengths(const Factor& factor, const std::vector<int64_t>& lengths) {
  const auto& identity = *factor.node->as<Identity>();
  expr::Lengths known;
  for (char label : factor.labels) known.push_back(number(double(lengths[uint8_t(label)])));
  switch (identity.form) {
    case Identity::Form::Delta:
      return delta(known[0]);
    case Identity::Form::Slice:
      return slice(known[1], identity.bounds);
    case Identity::Form::Element:
      return element(known[0], *identity.bounds.start);
    case Identity::Form::Reshape:
      break;
  }
  return reshape_tensor({known.begin() + 1, known.end()});
}

/// Collects cores and terms.
class Builder {
 public:
  explicit Builder(const LengthTable& table) : table_(table) {}

  void add(const Term& term) {
    TermParts parts(term, table_);
    parts.contract();
    StructureTerm made{.coefficient = parts.coefficient, .lengths = parts.lengths};
    std::vector<Factor> factors;
    for (const Group& group : parts.groups) {
      const int number = core(parts.core(group), group.labels, parts.lengths);
      made.cores.emplace_back(number, group.labels);
      factors.push_back(factor(result_.symbols[size_t(number)], group.labels));
    }
    for (const Factor& identity : parts.identities) {
      made.equations.push_back(equation_of(identity, parts.lengths));
      factors.push_back(factor(of_lengths(identity, parts.lengths), identity.labels));
    }
    expr::Lengths lengths;
    for (int axis = 0; axis < term.node->ndim(); ++axis) lengths.push_back(number(double(parts.lengths[size_t(axis)])));
    made.value = einsum(made.coefficient, std::move(factors), std::move(lengths));
    made.source = einsum(term.coefficient, {factor(term.node, labels_from(0, term.node->ndim()))}, term.node->lengths);
    result_.terms.push_back(std::move(made));
  }

  Structure finish() { return std::move(result_); }

 private:
  /// The number of a core, a new one unless it is known.
  int core(const Expr& value, const Labels& labels, const std::vector<int64_t>& lengths) {
    const auto known = std::ranges::find(result_.cores, value);
    if (known != result_.cores.end()) return int(known - result_.cores.begin());
    expr::Lengths own;
    for (char label : labels) own.push_back(number(double(lengths[uint8_t(label)])));
    const bool symmetric = value->symmetric && own[0] == own[1];
    result_.cores.push_back(value);
    std::string name = "C";
    name += std::to_string(result_.symbols.size());
    result_.symbols.push_back(symbol(name, own, symmetric));
    return int(result_.cores.size()) - 1;
  }

  const LengthTable& table_;
  Structure result_{};
};

/// Whether a term is a tensor over all axes.
bool is_dense(const Term& term, const LengthTable& table) {
  TermParts parts(term, table);
  if (!parts.identities.empty()) return false;
  parts.contract();
  return parts.groups.size() == 1 && int(parts.groups[0].labels.size()) == term.node->ndim();
}

bool has_identities(const Term& term, const LengthTable& table) {
  return !TermParts(term, table).identities.empty();
}

}  // namespace

Structure structure_of(const Expr& derivative, const LengthTable& table) {
  std::vector<Term> terms, others;
  add_terms(1, derivative, terms);
  if (terms.empty()) terms.push_back({1, derivative});
  // beside a term that is dense, others without identities cost nothing if they are added to it
  const bool any_dense = std::ranges::any_of(terms, [&](const Term& term) { return is_dense(term, table); });
  std::vector<Term> dense;
  for (const Term& term : terms) (any_dense && !has_identities(term, table) ? dense : others).push_back(term);
  Builder builder(table);
  if (!dense.empty())
    builder.add({1, dense.size() == 1
                        ? einsum(dense[0].coefficient, {factor(dense[0].node, labels_from(0, derivative->ndim()))},
                                 derivative->lengths)
                        : sum(dense, derivative->lengths)});
  for (const Term& term : others) builder.add(term);
  return builder.finish();
}

}  // namespace matgrad::plan
