// All nodes and symbols of an expression, those of lengths of axes included.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "expr/node.h"

namespace matgrad::expr {

/// All nodes that an expression and the lengths of its axes are made of, each once, after those that it is made of.
std::vector<Expr> with_lengths(const Expr& e);

/// The names of the symbols that the value of an expression depends on, by its lengths also.
std::set<std::string> symbol_names(const Expr& e);

}  // namespace matgrad::expr
