// The order in which the factors of a product are contracted, two at a time.
#include "plan/contract.h"

#include <algorithm>
#include <bit>
#include <compare>
#include <cstddef>
#include <limits>
#include <optional>
#include <unordered_map>

namespace matgrad::plan {
namespace {

/// Factors up to which all orders are compared.
constexpr int kMostCompared = 8;
/// Pairs of sets of factors up to which all orders are compared that contract what is joined.
constexpr int kMostPairs = 200'000;

// Times are in those of an element that is read or written.

/// A multiplication in a product of matrices, and in other contractions.
constexpr double kInProduct = 1.0 / 8, kElsewhere = 1.0 / 2;
/// A step, and a row of one that goes over elements.
constexpr double kStep = 128, kRow = 24;
/// Elements up to which, and how many times the factors and the result up to which, an intermediate result is small.
constexpr double kSmall = 8 << 20, kTimesLarger = 4;

/// What some contractions cost: elements of intermediate results that are beyond the bound, then time.
struct Cost {
  double excess = 0, time = 0;
  friend auto operator<=>(const Cost&, const Cost&) = default;
  Cost operator+(const Cost& other) const { return {excess + other.excess, time + other.time}; }
};

class Problem {
 public:
  explicit Problem(const Network& network) : network_(network) {
    for (int label : network.result) result_ |= Set(1) << label;
    bound_ = size(result_);
    for (Set factor : network.factors) bound_ += size(factor);
    bound_ = std::max(kSmall, kTimesLarger * bound_);
  }

  size_t factors() const { return network_.factors.size(); }
  Set all() const { return factors() == 64 ? ~Set(0) : (Set(1) << factors()) - 1; }

  double size(Set labels) const {
    double size = 1;
    for (; labels != 0; labels &= labels - 1) size *= double(network_.lengths[size_t(std::countr_zero(labels))]);
    return size;
  }

  Set labels(Set some) const {
    Set labels = 0;
    for (; some != 0; some &= some - 1) labels |= network_.factors[size_t(std::countr_zero(some))];
    return labels;
  }

  /// The labels that the contraction of some factors keeps: those that others have, or the result.
  Set kept(Set some) const {
    if (std::has_single_bit(some)) return network_.factors[size_t(std::countr_zero(some))];
    Set own = 0, others = result_;
    for (size_t k = 0; k < factors(); ++k) (some >> k & 1 ? own : others) |= network_.factors[k];
    return own & others;
  }

  /// What it costs to contract two tensors, of which these labels are kept.
  Cost cost(Set left, Set right, Set kept, bool is_last) const {
    const Set both = left | right;
    const bool is_summed = (both & ~kept) != 0, is_product = is_summed && (left & ~right) && (right & ~left);
    double time = kStep + size(left) + size(right) + size(kept) + size(both) * (is_product ? kInProduct : kElsewhere);
    if (!is_summed) time += size(both) * kRow / (is_last ? run(left, right) : std::max(size(left), size(right)));
    return {size(kept) > bound_ ? size(kept) : 0, time};
  }

 private:
  /// The elements that the result has next to each other and that two tensors have alike: next to each other, or once.
  double run(Set left, Set right) const {
    double run = 1;
    std::optional<std::pair<bool, bool>> innermost;
    for (auto label = network_.result.rbegin(); label != network_.result.rend(); ++label) {
      const std::pair<bool, bool> has{left >> *label & 1, right >> *label & 1};
      if (innermost.value_or(has) != has) break;
      innermost = has;
      run *= double(network_.lengths[size_t(*label)]);
    }
    return run;
  }

  const Network& network_;
  Set result_ = 0;
  double bound_ = 0;
};

/// The best way to contract a set of factors: what it keeps, what it costs, and the first of the two sets that are
/// contracted in the end.
struct Best {
  Set kept = 0;
  Cost cost{};
  Set part = 0;
  bool is_known = false;
};
using Table = std::unordered_map<Set, Best>;

Table factors_alone(const Problem& problem) {
  Table table;
  for (size_t k = 0; k < problem.factors(); ++k) table[Set(1) << k] = {problem.kept(Set(1) << k)};
  return table;
}

/// Enters a way to contract two sets of factors if it is the best yet.
void offer(Table& table, const Problem& problem, const std::function<bool(Set)>& is_known, Set part, Set rest) {
  const Set some = part | rest;
  const auto [entry, is_new] = table.try_emplace(some);
  Best& best = entry->second;
  const bool is_last = some == problem.all();
  if (is_new) best = {.kept = problem.kept(some), .is_known = !is_last && is_known(some)};
  if (best.is_known && best.part != 0) return;
  const Best &left = table.at(part), &right = table.at(rest);
  const Cost cost = left.cost + right.cost + problem.cost(left.kept, right.kept, best.kept, is_last);
  if (best.part != 0 && !(cost < best.cost)) return;
  best.part = part;
  best.cost = best.is_known ? Cost{} : cost;
}

/// Dynamic programming over all sets of factors.
Table compare_all(const Problem& problem, const std::function<bool(Set)>& is_known) {
  Table table = factors_alone(problem);
  for (Set some = 1; some <= problem.all(); ++some) {
    const Set first = some & -some;
    for (Set part = (some - 1) & some; part != 0; part = (part - 1) & some) {
      if (part & first) offer(table, problem, is_known, part, some ^ part);
    }
  }
  return table;
}

/// Dynamic programming over the sets of factors that are joined by labels; nothing if there are too many.
std::optional<Table> compare_joined(const Problem& problem, const std::function<bool(Set)>& is_known) {
  Table table = factors_alone(problem);
  std::vector<std::vector<Set>> by_count(problem.factors() + 1);
  for (size_t k = 0; k < problem.factors(); ++k) by_count[1].push_back(Set(1) << k);
  int pairs = 0;
  for (size_t count = 2; count <= problem.factors(); ++count) {
    for (size_t first = 1; 2 * first <= count; ++first) {
      for (Set part : by_count[first]) {
        for (Set rest : by_count[count - first]) {
          if (++pairs > kMostPairs) return std::nullopt;
          if ((part & rest) != 0 || (table.at(part).kept & table.at(rest).kept) == 0) continue;
          if (!table.contains(part | rest)) by_count[count].push_back(part | rest);
          offer(table, problem, is_known, part, rest);
        }
      }
    }
  }
  return table;
}

/// Writes down how a table says that a set of factors is contracted; returns the number of the result.
int write_down(const Table& table, Set some, int factors, std::vector<Contraction>& order) {
  if (std::has_single_bit(some)) return std::countr_zero(some);
  const Set part = table.at(some).part;
  const int left = write_down(table, part, factors, order), right = write_down(table, some ^ part, factors, order);
  order.push_back({left, right});
  return factors + int(order.size()) - 1;
}

/// Always contracts the two tensors that shrink most, or grow least.
std::vector<Contraction> greedy_order(const Problem& problem) {
  struct Tensor {
    int number;
    Set members, labels;
  };
  std::vector<Tensor> tensors;
  for (size_t k = 0; k < problem.factors(); ++k) {
    tensors.push_back({int(k), Set(1) << k, problem.kept(Set(1) << k)});
  }
  std::vector<Contraction> order;
  while (tensors.size() > 1) {
    double best = std::numeric_limits<double>::infinity();
    size_t left = 0, right = 1;
    for (size_t i = 0; i < tensors.size(); ++i) {
      for (size_t j = i + 1; j < tensors.size(); ++j) {
        const double growth = problem.size(problem.kept(tensors[i].members | tensors[j].members)) -
                              problem.size(tensors[i].labels) - problem.size(tensors[j].labels);
        if (growth < best) best = growth, left = i, right = j;
      }
    }
    const Set members = tensors[left].members | tensors[right].members;
    order.push_back({tensors[left].number, tensors[right].number});
    tensors[left] = {int(problem.factors() + order.size()) - 1, members, problem.kept(members)};
    tensors.erase(tensors.begin() + ptrdiff_t(right));
  }
  return order;
}

/// Sets of factors that have been contracted, which take the place of factors.
struct Merged {
  std::vector<Set> sets{};
  std::vector<int> numbers{};  ///< of the results

  /// The factors that some of the sets have.
  Set members(Set some) const {
    Set members = 0;
    for (; some != 0; some &= some - 1) members |= sets[size_t(std::countr_zero(some))];
    return members;
  }
};

/// Contracts the sets in an order of their own.
void contract_merged(const Problem& problem, const Network& network, const Merged& merged,
                     const std::function<bool(Set)>& is_known, std::vector<Contraction>& order) {
  Network outer{network.lengths, {}, network.result};
  for (Set set : merged.sets) outer.factors.push_back(problem.kept(set));
  std::vector<int> numbers = merged.numbers;
  for (const auto [left, right] : contraction_order(outer, [&](Set some) { return is_known(merged.members(some)); })) {
    order.push_back({numbers[size_t(left)], numbers[size_t(right)]});
    numbers.push_back(int(problem.factors() + order.size()) - 1);
  }
}

/// Multiplies factors that have no labels of their own into the smallest others that have them all.
Merged merge_small_factors(const Problem& problem, std::vector<Contraction>& order) {
  Merged merged;
  for (size_t k = 0; k < problem.factors(); ++k) {
    merged.sets.push_back(Set(1) << k);
    merged.numbers.push_back(int(k));
  }
  for (size_t k = 0; k < merged.sets.size();) {
    const Set labels = problem.kept(merged.sets[k]);
    std::optional<size_t> into;
    for (size_t other = 0; other < merged.sets.size(); ++other) {
      const Set others = problem.kept(merged.sets[other]);
      if (other == k || (labels & ~others) != 0) continue;
      if (!into || problem.size(others) < problem.size(problem.kept(merged.sets[*into]))) into = other;
    }
    if (!into) {
      ++k;
      continue;
    }
    order.push_back({merged.numbers[*into], merged.numbers[k]});
    merged.sets[*into] |= merged.sets[k];
    merged.numbers[*into] = int(problem.factors() + order.size()) - 1;
    merged.sets.erase(merged.sets.begin() + ptrdiff_t(k));
    merged.numbers.erase(merged.numbers.begin() + ptrdiff_t(k));
    k = 0;
  }
  return merged;
}

/// The sets of factors that are joined by labels.
std::vector<Set> components(const Problem& problem) {
  std::vector<Set> found;
  for (size_t k = 0; k < problem.factors(); ++k) {
    Set members = Set(1) << k;
    std::erase_if(found, [&](Set other) {
      const bool is_joined = (problem.labels(other) & problem.labels(Set(1) << k)) != 0;
      if (is_joined) members |= other;
      return is_joined;
    });
    found.push_back(members);
  }
  return found;
}

}  // namespace

std::vector<Contraction> contraction_order(const Network& network, const std::function<bool(Set)>& is_known) {
  const Problem problem(network);
  const int factors = int(problem.factors());
  if (factors < 2) return {};
  std::vector<Contraction> order;
  if (factors <= kMostCompared) {
    write_down(compare_all(problem, is_known), problem.all(), factors, order);
    return order;
  }
  const Merged merged = merge_small_factors(problem, order);
  if (!order.empty()) {
    contract_merged(problem, network, merged, is_known, order);
    return order;
  }
  const auto parts = components(problem);
  const auto table = parts.size() <= size_t(kMostCompared) ? compare_joined(problem, is_known) : std::nullopt;
  if (!table) return greedy_order(problem);
  Merged joined{.sets = parts};
  for (Set part : parts) joined.numbers.push_back(write_down(*table, part, factors, order));
  if (parts.size() > 1) contract_merged(problem, network, joined, is_known, order);
  return order;
}

}  // namespace matgrad::plan
