// Differentiation: one rule per node kind gives the derivative of a node by its operands; the chain rule is the
// elimination of what lies between a function and its variables, in an order that the mode says.
#pragma once

#include <vector>

#include "expr/node.h"

namespace matgrad::expr {

enum class Mode : uint8_t {
  Auto,          ///< the cheaper of forward and reverse, by the number of axes
  Forward,       ///< from the variables up
  Reverse,       ///< from the function down
  CrossCountry,  ///< the product with the fewest axes first
};

/// The derivatives of y by every x, each with the axes of y and then those of x. A variable is any node, usually a
/// symbol. All modes give the same function and, but for some long ones, the same expression.
std::vector<Expr> diff(const Expr& y, const std::vector<Expr>& x, Mode mode = Mode::Auto);

/// The derivative of y by each of the variables in turn, with the axes of y, of the first variable, of the second, ….
/// As partial derivatives commute, the blocks of axes of equal variables are put in canonical order.
Expr derivative(const Expr& y, const std::vector<Expr>& variables, Mode mode = Mode::Auto);

/// A direct operand of a node and the derivative of the node by it, with the axes of the node and then the operand's.
struct Partial {
  Expr operand;
  Expr derivative;
};

/// The derivatives of a node by its direct operands, each operand once; operands on which the node depends piecewise
/// constantly are left out.
std::vector<Partial> partials(const Expr& node);

}  // namespace matgrad::expr
