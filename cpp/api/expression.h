// What a public expression is made of: its node, and the symbols that it came from.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "expr/build.h"
#include "matgrad/expr.h"

namespace matgrad::detail {

struct Expression {
  expr::Expr node;
  std::vector<expr::Expr> symbols{};  ///< in the order in which they appeared
  std::vector<expr::Expr> checked{};  ///< what it is the derivative of, whose axes have to agree, too
};

inline const std::string& name_of(const expr::Expr& symbol) {
  return symbol->as<expr::Symbol>()->name;
}

/// The symbols of both. Throws std::invalid_argument if one name has different properties in them.
std::vector<expr::Expr> merged(std::vector<expr::Expr> symbols, const std::vector<expr::Expr>& others);

/// What compute() returns; lengths that don't fit are std::invalid_argument outside.
template <class F>
auto with_standard_errors(const F& compute) {
  try {
    return compute();
  } catch (const expr::ShapeError& error) {
    throw std::invalid_argument(error.what());
  }
}

/// An expression of these parts.
Expr wrapped(expr::Expr node, std::vector<expr::Expr> symbols, std::vector<expr::Expr> checked = {});

/// compute(nodes) as an expression of the operands' symbols.
template <class F>
Expr applied(const std::vector<Expr>& operands, const F& compute) {
  std::vector<expr::Expr> nodes, symbols;
  for (const Expr& operand : operands) {
    nodes.push_back(operand.expression().node);
    symbols = merged(std::move(symbols), operand.expression().symbols);
  }
  return wrapped(with_standard_errors([&] { return compute(nodes); }), std::move(symbols));
}

/// Axes as ascending numbers from 0. Throws std::invalid_argument naming the function.
expr::Labels normalized(const char* function, const Expr& x, const Axes& axes);

}  // namespace matgrad::detail
