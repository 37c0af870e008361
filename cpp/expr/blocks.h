// Blocks: expressions of arrays that are cut along an index, as what is computed of every block and joined again.
#pragma once

#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "expr/node.h"

namespace matgrad::expr {

/// How the values of blocks become one.
enum class Join : uint8_t { Concatenate, Sum, Max, Min, Prod, LogSumExp };

/// A symbol for the value of an expression.
struct Assignment {
  Expr symbol, value;
  Join join = Join::Concatenate;  ///< of the values of blocks
  int axis = -1;                  ///< along which they are concatenated
};

/// A symbol for a block of an array that another symbol stands for.
struct Cut {
  Expr block, whole;
  int axis;
};

/// First what is computed once, of whole arrays and what earlier passes gave; then what is computed of every block.
struct Pass {
  std::vector<Assignment> once{}, of_blocks{};
};

/// Expressions as passes over blocks.
struct Blocks {
  std::vector<Cut> cuts{};
  std::vector<Pass> passes{};  ///< the last one has nothing that is computed of blocks
  std::vector<Expr> results{};
};

/// An axis of a symbol whose arrays are only there in blocks.
struct CutSymbol {
  Expr symbol;
  int axis;
};

/// Thrown where blocks don't suffice; the message says which part of the expression needs more.
struct NotInBlocks : std::exception {
  explicit NotInBlocks(std::string what) : message(std::move(what)) {}
  const char* what() const noexcept override { return message.c_str(); }
  std::string message;
};

/// Results for symbols of which some are cut into blocks. Which other arrays have to be cut, what is summed over
/// blocks, concatenated, or computed once, follows from the expressions. `like` has for every result the symbol whose
/// axes are its own, or null. Lengths of axes that are cut must be numbers, those of the whole.
Blocks in_blocks(const std::vector<Expr>& results, const std::vector<Expr>& like, const std::vector<CutSymbol>& cut);

}  // namespace matgrad::expr
