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

/// An order that takes little time: the best there is for up to eight factors, a greedy one for more. `lengths` are
/// those of the labels, `factors` the labels of each factor, `result` those of the result. A set of factors whose
/// contraction is_known costs nothing. No intermediate result is larger than 64 MiB in double precision and than four
/// times all factors and the result, if there is such an order among those that are compared.
///
/// The time of a contraction of two is estimated as that of its elements, each read or written once, and of its
/// multiplications, of which 8 take as long as an element in a product of matrices, and 2 in any other.
std::vector<Contraction> contraction_order(const std::vector<int64_t>& lengths, const std::vector<Set>& factors,
                                           Set result, const std::function<bool(Set)>& is_known);

}  // namespace matgrad::plan
