// Products whose identities can't all be substituted, such as those of a slice of a concatenation: parts of them are
// computed first, so that one identity after the other is applied.
#include <algorithm>
#include <cmath>

#include "plan/lower.h"

namespace matgrad::plan {

namespace {

using Group = std::vector<size_t>;

/// The factors but one, in groups that no label joins.
std::vector<Group> groups_without(const std::vector<ProductFactor>& factors, size_t one) {
  std::vector<Group> groups;
  for (size_t k = 0; k < factors.size(); ++k) {
    if (k == one) continue;
    Group joined{k};
    std::erase_if(groups, [&](const Group& group) {
      const bool is_joined = std::ranges::any_of(group, [&](size_t other) {
        return factors[other].labels.find_first_of(factors[k].labels) != expr::Labels::npos;
      });
      if (is_joined) joined.insert(joined.end(), group.begin(), group.end());
      return is_joined;
    });
    std::ranges::sort(joined);
    groups.push_back(std::move(joined));
  }
  return groups;
}

/// Whether a group has to be computed before an identity is applied to it.
bool comes_first(const std::vector<ProductFactor>& factors, const Group& group, const ProductFactor& identity) {
  const bool has_identity = std::ranges::any_of(group, [&](size_t k) { return bool(factors[k].identity); });
  const bool is_joined = factors[group[0]].labels.find_first_of(identity.labels) != expr::Labels::npos;
  return has_identity && (group.size() > 1 || is_joined);
}

/// How many elements have to be computed before an identity is applied.
double size_before(const std::vector<ProductFactor>& factors, size_t identity, size_t ndim,
                   const std::vector<int64_t>& lengths) {
  double total = 0;
  for (const Group& group : groups_without(factors, identity)) {
    if (!comes_first(factors, group, factors[identity])) continue;
    double size = 1;
    for (size_t label = 0; label < lengths.size(); ++label) {
      const bool is_there = std::ranges::any_of(group, [&](size_t k) { return factors[k].has(label); });
      if (is_there && (label < ndim || factors[identity].has(label))) size *= double(lengths[label]);
    }
    total += size;
  }
  return total;
}

}  // namespace

std::vector<ProductFactor> shortened(Lowering& lowering, const std::vector<ProductFactor>& factors, size_t ndim,
                                     std::vector<int64_t>& lengths) {
  size_t last = 0;
  double least = INFINITY;
  for (size_t k = 0; k < factors.size(); ++k) {
    const double size = factors[k].identity ? size_before(factors, k, ndim, lengths) : INFINITY;
    if (size < least) last = k, least = size;
  }
  const ProductFactor& identity = factors[last];
  std::vector<ProductFactor> result;
  std::vector<int64_t> left = lengths;
  for (const Group& group : groups_without(factors, last)) {
    std::vector<ProductFactor> members;
    for (size_t k : group) members.push_back(factors[k]);
    if (!comes_first(factors, group, identity)) {
      result.insert(result.end(), members.begin(), members.end());
      continue;
    }
    const bool is_guard =
        std::ranges::all_of(members, [](const auto& factor) { return factor.identity || factor.guard; }) &&
        std::ranges::any_of(members, &ProductFactor::guard);
    result.push_back(joined(lowering, 1, members, ndim, {identity}, lengths));
    result.back().guard = is_guard;
    for (size_t label = ndim; label < lengths.size(); ++label) {  // what is summed is no label any more
      const bool was_there = std::ranges::any_of(members, [&](const auto& factor) { return factor.has(label); });
      if (was_there && !result.back().has(label) && !identity.has(label)) left[label] = 1;
    }
  }
  result.push_back(identity);
  lengths = std::move(left);
  return result;
}

}  // namespace matgrad::plan
