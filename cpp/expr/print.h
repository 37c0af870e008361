// Printed forms of expressions.
#pragma once

#include <string>
#include <vector>

#include "expr/node.h"

namespace matgrad::expr {

/// Matrix notation in Unicode, such as "2 Uᵀ(U V − X)"; index notation where matrix notation can't say it.
std::string to_matrix(const Expr& e);
/// The same in LaTeX, without dollar signs.
std::string to_latex(const Expr& e);
/// Index notation; the result's axes are i, j, k, l, … in order, then the summed ones.
std::string to_index(const Expr& e);
/// NumPy source over `np` and the symbols' names: an expression where it can be, else statements of which the last
/// assigns `result`. Lengths of axes are those of the expression's symbols or of the others given.
std::string to_numpy(const Expr& e, const std::vector<Expr>& symbols = {});
/// What a length of an axis is called in messages: "X.shape[0]", "n", "3", "X.shape[0] * X.shape[1]".
std::string length_name(const Expr& length);

}  // namespace matgrad::expr
