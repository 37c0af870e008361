// Expressions: symbols, operators and functions of them, their derivatives and printed forms.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "matgrad/array.h"

namespace matgrad {

namespace detail {
struct Expression;
}

/// How a derivative of y by x is arranged. Tensor: the axes of y, then those of x. The others make a matrix, in which
/// vectors are columns; in numerator layout a scalar by a vector is a row, in denominator layout a column.
enum class Layout { Tensor, Numerator, Denominator };

/// The order in which the chain rule is applied. All give the same function.
enum class Mode { Auto, Forward, Reverse, CrossCountry };

/// The length of an axis of a symbol: that of the value, a number, or a name that axes of the same length share. An
/// axis is broadcast only if its length is given as 1.
class Length {
 public:
  Length() = default;
  Length(std::integral auto length) : number_(static_cast<std::int64_t>(length)) {}  // NOLINT: stands for a number
  Length(const char* name) : name_(name) {}                                          // NOLINT
  Length(std::string name) : name_(std::move(name)) {}                               // NOLINT
  const std::optional<std::int64_t>& number() const { return number_; }
  const std::string& name() const { return name_; }

 private:
  std::optional<std::int64_t> number_{};
  std::string name_{};
};

/// Axes of an expression, negative ones counted from the last; all of them unless given.
class Axes {
 public:
  Axes() = default;
  Axes(int axis) : axes_(std::vector{axis}) {}             // NOLINT: stands for a number
  Axes(std::initializer_list<int> axes) : axes_(axes) {}   // NOLINT
  Axes(std::vector<int> axes) : axes_(std::move(axes)) {}  // NOLINT
  const std::optional<std::vector<int>>& axes() const { return axes_; }

 private:
  std::optional<std::vector<int>> axes_{};
};

/// What Python writes start:stop:step.
struct Slice {
  std::optional<std::int64_t> start{}, stop{};
  std::int64_t step = 1;
};

/// What stands between brackets for one axis: a number, counted from the end if negative, or a slice.
class Index {
 public:
  Index(std::integral auto position) : position_(static_cast<std::int64_t>(position)) {}  // NOLINT: stands for a number
  Index(Slice slice) : slice_(slice) {}                                                   // NOLINT
  const std::optional<std::int64_t>& position() const { return position_; }
  const Slice& slice() const { return slice_; }

 private:
  std::optional<std::int64_t> position_{};
  Slice slice_{};
};

/// An array that isn't known yet: a symbol, or a function of symbols. Immutable; copies are cheap and share what they
/// are made of, and may be used by several threads.
///
/// Operators and functions follow NumPy's rules of axes and broadcasting; * is elementwise, matmul multiplies matrices.
/// What doesn't fit throws std::invalid_argument, and an index out of range std::out_of_range.
class Expr {
 public:
  /// A number.
  Expr(double number);  // NOLINT: implicit, so that 2 * x is what it says
  explicit Expr(std::shared_ptr<const detail::Expression> expression) : expression_(std::move(expression)) {}

  /// The number of axes.
  int ndim() const;
  /// The length of an axis as a scalar expression, a number where it is known.
  Expr length(int axis) const;
  /// The name of a symbol; empty for any other expression.
  std::string name() const;
  /// The symbols that it came from, in the order in which they appeared; a derivative keeps its function's.
  std::vector<Expr> symbols() const;
  /// Whether both are the same expression, which equal functions written differently often are.
  bool equals(const Expr& other) const;

  /// The derivative by a symbol.
  Expr diff(const Expr& wrt, Layout layout = Layout::Tensor, Mode mode = Mode::Auto) const;
  /// The derivative by several symbols, one after the other. A layout other than Tensor is for one symbol, or for two
  /// vectors and a scalar function.
  Expr diff(const std::vector<Expr>& wrt, Layout layout = Layout::Tensor, Mode mode = Mode::Auto) const;

  /// The expression with others in place of symbols.
  Expr substitute(const std::vector<std::pair<Expr, Expr>>& replacements) const;

  /// With its axes in reverse order.
  Expr T() const;
  /// Selects along the first axes; the others are kept.
  Expr operator[](std::initializer_list<Index> indices) const;
  Expr operator[](const Index& index) const { return (*this)[{index}]; }

  /// Matrix notation in Unicode, such as "2 Uᵀ(U V − X)".
  std::string to_string() const;
  /// The same in LaTeX, without dollar signs.
  std::string to_latex() const;
  /// NumPy source over np and the symbols' names.
  std::string to_numpy() const;
  /// Index notation, such as "2 U[k,i] (U[k,l] V[l,j] − X[k,j])".
  std::string to_index() const;

  const detail::Expression& expression() const { return *expression_; }

 private:
  std::shared_ptr<const detail::Expression> expression_;
};

// --- Symbols and constants ---

Expr scalar(const std::string& name);
Expr vector(const std::string& name, const Length& length = {});
/// If it is symmetric, a derivative by it still treats its entries as independent.
Expr matrix(const std::string& name, const Length& rows = {}, const Length& columns = {}, bool symmetric = false);
Expr tensor(const std::string& name, const std::vector<Length>& lengths);
/// A copy of an array. Where it is double, so are the arguments that the expression is evaluated with.
Expr constant(const View<const double>& values);
Expr constant(const View<const float>& values);
/// The identity matrix.
Expr eye(const Length& length);

// --- Operators, elementwise ---

Expr operator+(const Expr& a, const Expr& b);
Expr operator-(const Expr& a, const Expr& b);
Expr operator*(const Expr& a, const Expr& b);
Expr operator/(const Expr& a, const Expr& b);
Expr operator-(const Expr& a);
Expr pow(const Expr& a, const Expr& b);

// --- Elementwise functions, by their names in NumPy ---

/// A function by its name, such as "arcsinh". Throws std::invalid_argument if there is none.
Expr elementwise(const std::string& name, const std::vector<Expr>& operands);

inline Expr abs(const Expr& x) {
  return elementwise("absolute", {x});
}
inline Expr sign(const Expr& x) {
  return elementwise("sign", {x});
}
inline Expr sqrt(const Expr& x) {
  return pow(x, 0.5);
}
inline Expr square(const Expr& x) {
  return pow(x, 2);
}
inline Expr exp(const Expr& x) {
  return elementwise("exp", {x});
}
inline Expr expm1(const Expr& x) {
  return elementwise("expm1", {x});
}
inline Expr log(const Expr& x) {
  return elementwise("log", {x});
}
inline Expr log1p(const Expr& x) {
  return elementwise("log1p", {x});
}
inline Expr sin(const Expr& x) {
  return elementwise("sin", {x});
}
inline Expr cos(const Expr& x) {
  return elementwise("cos", {x});
}
inline Expr tan(const Expr& x) {
  return elementwise("tan", {x});
}
inline Expr sinh(const Expr& x) {
  return elementwise("sinh", {x});
}
inline Expr cosh(const Expr& x) {
  return elementwise("cosh", {x});
}
inline Expr tanh(const Expr& x) {
  return elementwise("tanh", {x});
}
/// 1/(1 + exp(−x)).
inline Expr sigmoid(const Expr& x) {
  return elementwise("sigmoid", {x});
}
/// log(1 + exp(x)), which never overflows.
inline Expr softplus(const Expr& x) {
  return elementwise("softplus", {x});
}
/// max(x, 0), whose derivative at 0 is 0.
inline Expr relu(const Expr& x) {
  return elementwise("relu", {x});
}
inline Expr maximum(const Expr& x, const Expr& y) {
  return elementwise("maximum", {x, y});
}
inline Expr minimum(const Expr& x, const Expr& y) {
  return elementwise("minimum", {x, y});
}
/// Comparisons are 1 where they hold, else 0.
inline Expr greater(const Expr& x, const Expr& y) {
  return elementwise("greater", {x, y});
}
inline Expr greater_equal(const Expr& x, const Expr& y) {
  return elementwise("greater_equal", {x, y});
}
/// x where the condition isn't zero, else y.
inline Expr where(const Expr& condition, const Expr& x, const Expr& y) {
  return elementwise("where", {condition, x, y});
}

// --- Products ---

/// The product of matrices, vectors and stacks of matrices: @ in Python.
Expr matmul(const Expr& a, const Expr& b);
/// a[i] b[j].
Expr outer(const Expr& a, const Expr& b);
/// The Kronecker product a ⊗ b.
Expr kron(const Expr& a, const Expr& b);
/// A product over index labels, such as einsum("ij,jk->ik", {A, B}).
Expr einsum(std::string_view subscripts, const std::vector<Expr>& operands);

// --- Reductions ---

Expr sum(const Expr& x, const Axes& axes = {}, bool keepdims = false);
Expr mean(const Expr& x, const Axes& axes = {}, bool keepdims = false);
Expr prod(const Expr& x, const Axes& axes = {}, bool keepdims = false);
Expr max(const Expr& x, const Axes& axes = {}, bool keepdims = false);
Expr min(const Expr& x, const Axes& axes = {}, bool keepdims = false);
/// log Σ exp(x), which never overflows.
Expr logsumexp(const Expr& x, const Axes& axes = {}, bool keepdims = false);
/// √Σ x²: the Euclidean norm of a vector, the Frobenius norm of a matrix.
Expr norm(const Expr& x, const Axes& axes = {}, bool keepdims = false);
/// exp(x)/Σ exp(x).
Expr softmax(const Expr& x, const Axes& axes = {});
/// x − log Σ exp(x).
Expr log_softmax(const Expr& x, const Axes& axes = {});

// --- Matrices; leading axes are a stack for inv, det, logdet and solve ---

Expr trace(const Expr& x);
/// The diagonal of a matrix, or the matrix whose diagonal is a vector.
Expr diag(const Expr& x);
Expr inv(const Expr& x);
Expr det(const Expr& x);
/// The logarithm of the determinant, NaN where that is negative.
Expr logdet(const Expr& x);
/// A⁻¹ b.
Expr solve(const Expr& a, const Expr& b);

// --- Axes ---

/// Axis k of the result is axis permutation[k] of x.
Expr transpose(const Expr& x, const std::vector<int>& permutation);
/// C order; a length of −1 follows from the others, and may be an expression such as y.length(0).
Expr reshape(const Expr& x, const std::vector<Expr>& lengths);
Expr broadcast_to(const Expr& x, const std::vector<Expr>& lengths);
/// The columns of a matrix, stacked.
Expr vec(const Expr& x);

}  // namespace matgrad
