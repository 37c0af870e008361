// Making expressions: each function returns the normal form of what it is given.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "expr/node.h"
#include "expr/op.h"

namespace matgrad::expr {

using Lengths = std::vector<Expr>;

/// Thrown where the lengths or numbers of axes don't fit; the message says which.
struct ShapeError : std::exception {
  explicit ShapeError(std::string what) : message(std::move(what)) {}
  const char* what() const noexcept override { return message.c_str(); }
  std::string message;
};

// --- Leaves ---

/// A variable. A null length is the symbolic size of that axis.
Expr symbol(const std::string& name, Lengths lengths, bool symmetric = false);
/// A scalar.
Expr number(double value);
/// The same number in every entry.
Expr full(double value, Lengths lengths);
/// The length of an axis of a symbol; of axis −1: a length that has a name of its own.
Expr size(const std::string& name, int axis = -1);
Expr array(Array values);
/// δ[i,j].
Expr delta(const Expr& length);
/// S[i,j] = 1 where j = start + step i; the length of j is given, that of i follows.
Expr slice(const Expr& length, const SliceBounds& bounds);
/// e[j] = 1 where j is index, which counts from the end if negative.
Expr element(const Expr& length, int64_t index);
/// M[k,i₁,…,iₙ] = 1 where k is (i₁, …, iₙ) ravelled in C order.
Expr reshape_tensor(const Lengths& parts);

/// G[i₁,…,iₙ,j] = 1 where j is index[i₁,…,iₙ]; the length of j is given.
Expr gather(const Expr& index, const Expr& length);
/// T[i,j] = 1 where j ≤ i + offset.
Expr triangle(const Expr& rows, const Expr& columns, int64_t offset);

// --- The node kinds ---

/// coefficient Π factors with result axes 0, …, ndim − 1 and summed labels from ndim on, in any order. `lengths` are
/// the result's; null ones follow from the factors.
Expr einsum(double coefficient, std::vector<Factor> factors, Lengths lengths);
/// A linear combination of terms that have the same axes. `lengths` are the result's, for want of terms; as above.
Expr sum(std::vector<Term> terms, Lengths lengths);
/// An elementwise function of operands that have the same axes.
Expr map(const Op& op, std::vector<Expr> operands);
Expr map(std::string_view op, std::initializer_list<Expr> operands);
/// A reduction along the given axes.
Expr reduce(Reduction reduction, const Expr& operand, Labels axes);
/// A function of the matrices along the last two axes.
Expr linalg(LinalgOp op, const Expr& operand, double cutoff = 0);

// --- Shorthands over the same axes; a scalar operand is broadcast ---

Expr operator+(const Expr& a, const Expr& b);
Expr operator-(const Expr& a, const Expr& b);
Expr operator*(const Expr& a, const Expr& b);
Expr operator*(double a, const Expr& b);
Expr operator-(const Expr& a);
/// x^exponent, elementwise.
Expr power(const Expr& x, double exponent);
/// 1 where c is not zero, else 0, and then what it is multiplied with is 0, too, even if it is infinite or NaN.
Expr guard(const Expr& c);
/// x where c is not zero, else 0.
Expr guarded(const Expr& c, const Expr& x);
/// Axis k of the result is axis permutation[k] of the operand.
Expr transpose(const Expr& x, const Labels& permutation);
/// Axis k of the operand becomes axis axes[k] of a result with the given lengths, along whose other axes it is
/// repeated.
Expr broadcast(const Expr& x, const Labels& axes, Lengths lengths);
/// Sums over the given axes.
Expr sum_over(const Expr& x, const Labels& axes);
/// The elementwise factors of a product over labels: node[labels].
inline Factor factor(Expr node, Labels labels, double exponent = 1) {
  return {std::move(node), std::move(labels), exponent};
}
/// Labels first, first + 1, …
Labels labels_from(int first, int count);

/// Whether an expression is known to be 0 or 1 everywhere.
bool is_zero_or_one(const Expr& e);
/// Whether an expression is known not to be negative anywhere (NaN aside).
bool is_nonnegative(const Expr& e);
/// The same expression with its operands, in the order of for_each_operand, replaced; in normal form again.
Expr with_operands(const Expr& e, std::span<const Expr> operands);
/// An identity of the same form, or a triangle, with axes of other lengths.
Expr resized(const Expr& e, const Lengths& lengths);
/// The same expression with nodes replaced by others of the same number of axes. Sizes of a symbol that is replaced
/// become the lengths of what replaces it.
Expr substitute(const Expr& e, const std::vector<std::pair<Expr, Expr>>& replacements);

}  // namespace matgrad::expr
