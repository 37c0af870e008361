// One form for a sum of products, however it was put together.
#pragma once

#include <unordered_set>

#include "expr/node.h"

namespace matgrad::expr {

/// The same sum of products with its common factors pulled out afresh: products are distributed over all sums but those
/// in `kept`, then factored again. An expression that this would make long is returned as it is.
Expr refactored(const Expr& e, const std::unordered_set<const Node*>& kept);

}  // namespace matgrad::expr
