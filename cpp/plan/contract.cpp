// The order in which the factors of a product are contracted, two at a time.
#include "plan/contract.h"

#include <bit>
#include <cstddef>
#include <limits>

namespace matgrad::plan {
namespace {

/// Factors up to which all orders are compared.
constexpr size_t kMostCompared = 8;

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
};

/// Dynamic programming over all sets of factors.
std::vector<Contraction> best_order(const Problem& problem, const std::function<bool(Set)>& is_known) {
  const Set all = (Set(1) << problem.factors.size()) - 1;
  std::vector<double> cost(all + 1, 0);
  std::vector<Set> kept(all + 1), split(all + 1, 0);
  for (Set some = 1; some <= all; ++some) {
    kept[some] = std::has_single_bit(some) ? problem.factors[size_t(std::countr_zero(some))] : problem.kept(some);
    if (std::has_single_bit(some)) continue;
    cost[some] = std::numeric_limits<double>::infinity();
    const double own = problem.size(kept[some]);
    const Set first = some & -some;
    for (Set part = (some - 1) & some; part != 0; part = (part - 1) & some) {
      if (!(part & first)) continue;
      const Set rest = some ^ part;
      const double total = cost[part] + cost[rest] + problem.size(kept[part] | kept[rest]) + own;
      if (total < cost[some] || split[some] == 0) {
        cost[some] = total;
        split[some] = part;
      }
    }
    if (some != all && is_known(some)) cost[some] = 0;
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
