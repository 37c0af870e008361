// All nodes of an expression, those of lengths of axes included.
#pragma once

#include <vector>

#include "expr/node.h"

namespace matgrad::bindings {

/// All nodes that an expression and the lengths of its axes are made of, each once, after those that it is made of.
std::vector<expr::Expr> with_lengths(const expr::Expr& e);

}  // namespace matgrad::bindings
