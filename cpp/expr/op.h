// The table of elementwise functions: value, derivative and printed form of each, side by side.
#pragma once

#include <exception>
#include <span>
#include <string>
#include <string_view>

#include "expr/node.h"

namespace matgrad::expr {

using Operands = std::span<const Expr>;

/// An elementwise function. Forms say how it is printed: "{0}" stands for the first operand, and where the operand
/// would need parentheses beside an operator, it gets them; "{0,}" stands for the operand in a list of arguments.
struct Op {
  /// The partial derivative by one operand, of the shape of the value.
  using Partial = Expr (*)(const Expr& value, Operands operands);

  enum Range : uint8_t { Any, Nonnegative, Indicator };  ///< Indicator: 0 or 1
  enum Parity : uint8_t { None, Even, Odd };             ///< f(−x) = f(x), f(−x) = −f(x)

  const char* name;  ///< as NumPy or scipy.special call it, where they have it; also that of the kernel
  int arity;         ///< 1 to 3
  /// Null where the value is supplied from outside (special.h).
  double (*value)(double x, double y, double z);
  /// One for each operand; null where the function is piecewise constant in it. One that isn't known throws
  /// NotDifferentiable.
  Partial partials[3];
  const char* matrix;  ///< in matrix notation, such as "exp({0,})"
  const char* latex;
  const char* numpy;
  Range range = Any;
  Parity parity = None;
};

/// Thrown where a function is differentiated by an operand, by which its derivative isn't known.
struct NotDifferentiable : std::exception {
  explicit NotDifferentiable(std::string what) : message(std::move(what)) {}
  const char* what() const noexcept override { return message.c_str(); }
  std::string message;
};

/// The whole table.
std::span<const Op> ops();

/// The function of that name; throws std::invalid_argument if there is none.
const Op& op(std::string_view name);

}  // namespace matgrad::expr
