// The order in which the factors of a product are contracted, two at a time.
#include "plan/contract.h"

#include <algorithm>
#include <bit>
#include <compare>
#include <cstddef>
#include <limits>

namespace matgrad::plan {
namespace {

/// Factors up to which all orders are compared.
constexpr size_t kMostCompared = 8;
/// Multiplications that take as long as an element, in a product of matrices and in other contractions.
constexpr double kProductRate = 8, kOtherRate = 2;
/// Elements up to which, and how many times the factors and the result up to which, an intermediate result is small.
constexpr double kSmall = 8 << 20, kTimesLarger = 4;

/// What some contractions cost: elements of intermediate results that are beyond the bound, then time.
struct Cost {
  double excess = 0, time = 0;
  friend auto operator<=>(const Cost&, const Cost&) = default;
  Cost operator+(const Cost& other) const { return {excess + other.excess, time + other.time}; }
};

struct Problem {
  const std::vector<int64_t>& lengths;
  const std::vector<Set>& factors;
  Set result;

  double size(Set labels) const {
    double size = 1;
    for (; labels != 0; labels &= labels - 1) size *= double(lengths[size_t(std::countr_zero(labels))]);
    return size;
  }
  /// The labels that the contraction of some factors keeps: those that others have, or the result.
  Set kept(Set some) const {
    Set own = 0, others = result;
    for (size_t k = 0; k < factors.size(); ++k) (some >> k & 1 ? own : others) |= factors[k];
    return own & others;
  }
  /// What it costs to contract two tensors into one.
  Cost cost(Set left, Set right, Set made, double bound) const {
    const double own = size(made);
    const bool is_product = (left & ~right) && (right & ~left) && ((left | right) & ~made);
    const double multiplications = size(left | right) / (is_product ? kProductRate : kOtherRate);
    return {own > bound ? own : 0, size(left) + size(right) + own + multiplications};
  }
  double bound() const {
    double all = size(result);
    for (Set factor : factors) all += size(factor);
    return std::max(kSmall, kTimesLarger * all);
  }
};

/// Dynamic programming over all sets of factors.
std::vector<Contraction> best_order(const Problem& problem, const std::function<bool(Set)>& is_known) {
  const Set all = (Set(1) << problem.factors.size()) - 1;
  const double bound = problem.bound();
  std::vector<Cost> cost(all + 1);
  std::vector<Set> kept(all + 1), split(all + 1, 0);
  for (Set some = 1; some <= all; ++some) {
    kept[some] = std::has_single_bit(some) ? problem.factors[size_t(std::countr_zero(some))] : problem.kept(some);
    if (std::has_single_bit(some)) continue;
    const Set first = some & -some;
    for (Set part = (some - 1) & some; part != 0; part = (part - 1) & some) {
      if (!(part & first)) continue;
      const Set rest = some ^ part;
      const Cost total = cost[part] + cost[rest] + problem.cost(kept[part], kept[rest], kept[some], bound);
      if (split[some] == 0 || total < cost[some]) {
        cost[some] = total;
        split[some] = part;
      }
    }
    if (some != all && is_known(some)) cost[some] = {};
  }
  std::vector<Contraction> order;
  const int factors = int(problem.factors.size());
  auto visit = [&](auto& self, Set some) -> int {
    if (std::has_single_bit(some)) return std::countr_zero(some);
    const int left = self(self, split[some]), right = self(self, some ^ split[some]);
    order.push_back({left, right});
    return factors + int(order.size()) - 1;
  };
  visit(visit, all);
  return order;
}

/// Always contracts the two tensors that shrink most, or grow least.
std::vector<Contraction> greedy_order(const Problem& problem) {
  struct Tensor {
    int number;
    Set members, labels;
  };
  std::vector<Tensor> tensors;
  for (size_t k = 0; k < problem.factors.size(); ++k) tensors.push_back({int(k), Set(1) << k, problem.factors[k]});
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
    tensors[left] = {int(problem.factors.size() + order.size()) - 1, members, problem.kept(members)};
    tensors.erase(tensors.begin() + ptrdiff_t(right));
  }
  return order;
}

}  // namespace

std::vector<Contraction> contraction_order(const std::vector<int64_t>& lengths, const std::vector<Set>& factors,
                                           Set result, const std::function<bool(Set)>& is_known) {
  const Problem problem{lengths, factors, result};
  if (factors.size() < 2) return {};
  return factors.size() <= kMostCompared ? best_order(problem, is_known) : greedy_order(problem);
}

}  // namespace matgrad::plan
