// Derivatives of functions of matrices by their operands.
#pragma once

#include "expr/build.h"

namespace matgrad::expr {

/// The derivative of a node that is a function of matrices by its operand, with the axes of the node and then those of
/// the operand; null if the node is piecewise constant.
Expr by_operand_of_linalg(const Expr& node);

/// Whether the derivative by the operand is a sum of products, or more than that, so that its product with another
/// derivative is better made from the start.
bool has_directional_rule(const Expr& node);

/// Such a node's Σ outer[w, stack, i, j] ∂node[stack, i, j]/∂operand[stack, k, l], with axes w, stack, k, l.
Expr pulled_back(const Expr& node, const Expr& outer);
/// Such a node's Σ ∂node[stack, i, j]/∂operand[stack, k, l] inner[stack, k, l, u], with axes stack, i, j, u.
Expr pushed_forward(const Expr& node, const Expr& inner);

}  // namespace matgrad::expr
