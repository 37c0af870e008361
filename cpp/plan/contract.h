// The order in which the factors of a product are contracted, two at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace matgrad::plan {

/// A set of labels, or of factors: bit k is member k.
using Set = uint64_t;

/// The most labels, and the most factors, in one product.
constexpr int kMaxMembers = 64;

/// Two tensors to be contracted: factors, or results of earlier contractions, which follow the factors in number.
struct Contraction {
  int left, right;
};

/// An order with few multiplications: the best there is for up to eight factors, a greedy one for more. `lengths` are
/// those of the labels, `factors` the labels of each factor, `result` those of the result. A set of factors whose
/// contraction is_known costs nothing.
std::vector<Contraction> contraction_order(const std::vector<int64_t>& lengths, const std::vector<Set>& factors,
                                           Set result, const std::function<bool(Set)>& is_known);

}  // namespace matgrad::plan
