// The table of functions of matrices: the shape of the value, what a transpose does, and the printed form of each.
#pragma once

#include "expr/node.h"

namespace matgrad::expr {

/// A function of matrices. Forms are as in op.h.
struct LinalgRule {
  enum Turned : uint8_t { Same, Transposed, Other };

  const char* name;   ///< as numpy_api calls it
  const char* axes;   ///< of the value: m rows and n columns of the operand, and the lesser of the two, k
  bool is_square;     ///< whether the operand must be
  Turned turned;      ///< the value for the operand's transpose: the same, or the value's transpose, or another
  bool is_symmetric;  ///< whether the value is a symmetric matrix where the operand is
  const char *matrix, *latex, *numpy;
};

/// The cutoff of PseudoInverse, if nothing is said.
constexpr double kDefaultCutoff = 1e-15;

const LinalgRule& rule(LinalgOp op);

/// The function that numpy_api calls so; throws std::invalid_argument if there is none.
LinalgOp linalg_op(std::string_view name);

}  // namespace matgrad::expr
