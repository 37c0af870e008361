// The structure of a derivative: a sum of terms, each a product of small tensors and identities.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "expr/node.h"
#include "plan/shape.h"

namespace matgrad::plan {

/// label = offset + Σ coefficient · other label: what an identity says.
struct Equation {
  char label;
  int64_t offset;
  std::vector<std::pair<char, int64_t>> others;
};

/// coefficient Π cores Π identities, over labels as in an Einsum.
struct StructureTerm {
  double coefficient = 1;
  std::vector<std::pair<int, expr::Labels>> cores{};  ///< which core, and its labels
  std::vector<Equation> equations{};                  ///< one for every identity
  std::vector<int64_t> lengths{};                     ///< of the labels
  expr::Expr value{};                                 ///< in terms of what stands for the cores
  expr::Expr source{};                                ///< in terms of the derivative's own symbols
};

/// A derivative as tensors that are computed once, its cores, and terms that are made of them.
struct Structure {
  std::vector<expr::Expr> cores{};    ///< in terms of the derivative's own symbols
  std::vector<expr::Expr> symbols{};  ///< what stands for them in the terms
  std::vector<StructureTerm> terms{};
};

/// The structure of an expression whose axes have these lengths. Tensors are contracted where that takes no more memory
/// than they do; so UᵀU is a core if U has more rows than columns, and else U is.
Structure structure_of(const expr::Expr& derivative, const LengthTable& lengths);

}  // namespace matgrad::plan
