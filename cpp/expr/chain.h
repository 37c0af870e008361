// Reads a product over index labels as matrix algebra: chains, traces, diagonals, outer and elementwise products.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "expr/node.h"

namespace matgrad::expr {

/// A scalar, a column vector or a matrix made of the factors of a product; a row is a transposed vector.
struct Chain {
  enum class Kind : uint8_t {
    Factor,     ///< a factor of the product, by itself
    Ones,       ///< the vector of ones
    Identity,   ///< the identity matrix
    Product,    ///< matrix product of the parts
    Hadamard,   ///< elementwise product of the parts
    Kronecker,  ///< of two matrices or two vectors
    Diag,       ///< the diagonal matrix of a vector
    Diagonal,   ///< the diagonal of a matrix
    Trace,
    Total,    ///< sum of the entries of a vector or matrix
    Vec,      ///< the columns of a matrix, stacked
    Reshape,  ///< in C order, to a matrix of the lengths
    Slice,    ///< along an axis
    Entry,    ///< at index bounds.start along an axis
  };
  Kind kind = Kind::Factor;
  int ndim = 0;
  bool transposed = false;  ///< what stands here is the transpose of what is described; not of products
  const Factor* factor = nullptr;
  int axis = 0;
  SliceBounds bounds{};
  std::vector<Expr> lengths{};  ///< of ones, identities and reshaped matrices
  std::vector<Chain> parts{};
};

Chain make_chain(Chain::Kind kind, int ndim, std::vector<Chain> parts);
Chain matrix_product(int ndim, const std::vector<Chain>& parts);
Chain elementwise_product(std::vector<Chain> parts);
/// The matrix x yᵀ.
Chain outer_product(const Chain& x, const Chain& y);
/// The transpose, pushed down to the factors.
Chain transposed(const Chain& chain);

/// Factors that are connected by summed labels.
struct Component {
  std::vector<const Factor*> factors{};
  Labels labels{};  ///< the result's labels that it has, ascending
};

/// The components of a product whose result has ndim axes.
std::vector<Component> components(const std::vector<const Factor*>& factors, int ndim);

/// Reads factors as a scalar, vector or matrix whose axes are the given labels (at most two); all other labels are
/// summed. Among equally short forms, factors that come first stand first. `lengths` are those of the labels given.
/// Nothing where matrix algebra can't say it.
std::optional<Chain> read_chain(const std::vector<const Factor*>& factors, const Labels& labels,
                                const std::vector<Expr>& lengths);

}  // namespace matgrad::expr
