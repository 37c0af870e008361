// NumPy's functions of arrays as functions of expressions, with its rules of axes and broadcasting.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "expr/build.h"

// An axis is broadcast if its length is the number 1, and never if its length is a symbol's that is not known. Lengths
// that are known to differ throw ShapeError, which names the function and shows the shapes.
namespace matgrad::expr::numpy_api {

using Operands = std::span<const Expr>;

/// The length of an axis where it is a number.
std::optional<int64_t> known_length(const Expr& length);
bool is_one(const Expr& length);
bool known_to_differ(const Expr& a, const Expr& b);
/// The product of lengths over the product of divisors.
Expr product_of(const Lengths& lengths, const Lengths& divisors = {});
/// "(3, X.shape[1])".
std::string shape_name(const Lengths& lengths);

/// The lengths of what the operands broadcast to.
Lengths broadcast_lengths(const char* function, Operands operands);
Expr broadcast_to(const Expr& x, const Lengths& lengths);

Expr add(const Expr& a, const Expr& b);
Expr subtract(const Expr& a, const Expr& b);
Expr multiply(const Expr& a, const Expr& b);
Expr divide(const Expr& a, const Expr& b);
Expr power(const Expr& a, const Expr& b);
/// Whether an expression is 0 or 1 in every entry, being a comparison, made of such, or a constant.
bool is_condition(const Expr& e);
/// A row of the table of operations.
Expr elementwise(const std::string& name, Operands operands);

Expr matmul(const Expr& a, const Expr& b);
/// The product of operands whose axes have labels, summed over labels from ndim on; the result's are 0, …, ndim − 1.
/// Axes with labels from `joined` on aren't broadcast.
Expr einsum(const char* function, Operands operands, const std::vector<Labels>& labels, int ndim,
            int joined = kMaxLabels);
Expr kron(const Expr& a, const Expr& b);

/// Reductions; a kept axis has length 1.
Expr sum(const Expr& x, const Labels& axes, bool keep);
Expr mean(const Expr& x, const Labels& axes, bool keep);
Expr reduce(const std::string& name, const Expr& x, const Labels& axes, bool keep);

/// A function of square matrices along the last two axes: "inv", "det", "logdet", "logabsdet", "signdet".
Expr linalg(const std::string& name, const Expr& x, double cutoff = 0);

/// C order. A null length follows from the others.
Expr reshape(const Expr& x, Lengths lengths);

struct NewAxis {};
/// What stands between the brackets for one axis: an integer, a slice, or a new axis of length 1.
using Index = std::variant<int64_t, SliceBounds, NewAxis>;
/// x[indices]; axes without an index are kept. Throws std::out_of_range.
Expr index(const Expr& x, const std::vector<Index>& indices);

}  // namespace matgrad::expr::numpy_api
