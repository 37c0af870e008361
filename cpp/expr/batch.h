// Stacks: expressions of arrays as expressions of stacks of arrays.
#pragma once

#include <vector>

#include "expr/node.h"

namespace matgrad::expr {

/// What is computed from symbols; `checked` has lengths that must agree, too.
struct Definition {
  std::vector<Expr> results{}, symbols{}, checked{};
};

/// The same with one more axis in front of every result, and of the symbols that are_stacks says: those along which the
/// problems are stacked. Other symbols are shared by all problems.
Definition batched(const Definition& one, const std::vector<bool>& are_stacks);

}  // namespace matgrad::expr
