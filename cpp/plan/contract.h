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

/// A product whose factors are to be contracted.
struct Network {
  std::vector<int64_t> lengths{};  ///< of the labels
  std::vector<Set> factors{};      ///< the labels of each factor
  std::vector<int> result{};       ///< the labels of the result, outermost first
};

/// An order that takes little time: the best there is for up to eight factors. Beyond that, factors that have no labels
/// of their own are multiplied into others first, and what isn't joined by labels in the end; between those the best
/// order is taken, or a greedy one where there are too many. A set of factors whose contraction is_known costs nothing.
/// No intermediate result is larger than 64 MiB in double precision and than four times all factors and the result, if
/// there is such an order among those that are compared.
///
/// The time of a contraction of two is estimated as that of 128 elements, its own elements, each read or written once,
/// and its multiplications, of which 8 take as long as an element in a product of matrices, and 2 in any other. What
/// sums nothing takes 24 more for each row: as many elements as are next to each other in the result and in both
/// tensors, or in one of them and not in the other.
std::vector<Contraction> contraction_order(const Network& network, const std::function<bool(Set)>& is_known);

}  // namespace matgrad::plan
