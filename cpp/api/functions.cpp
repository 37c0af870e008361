// Public functions of expressions, composed as NumPy's are from those of the calculus.
#include <algorithm>
#include <map>

#include "api/expression.h"
#include "expr/numpy_api.h"

namespace matgrad {

using detail::applied;
using detail::normalized;
namespace numpy_api = expr::numpy_api;

namespace detail {

expr::Labels normalized(const char* function, const Expr& x, const Axes& axes) {
  if (!axes.axes()) return expr::labels_from(0, x.ndim());
  expr::Labels labels;
  for (int axis : *axes.axes()) {
    if (axis < -x.ndim() || axis >= x.ndim()) {
      throw std::invalid_argument(std::string(function) + ": axis " + std::to_string(axis) +
                                  " is out of bounds for array of dimension " + std::to_string(x.ndim()));
    }
    labels.push_back(static_cast<char>(axis < 0 ? axis + x.ndim() : axis));
  }
  std::ranges::sort(labels);
  if (std::ranges::adjacent_find(labels) != labels.end()) {
    throw std::invalid_argument(std::string(function) + ": the axes must not name an axis twice");
  }
  return labels;
}

}  // namespace detail

namespace {

/// A function of two nodes.
Expr binary(expr::Expr (*function)(const expr::Expr&, const expr::Expr&), const Expr& a, const Expr& b) {
  return applied({a, b}, [&](const auto& nodes) { return function(nodes[0], nodes[1]); });
}

/// A product over labels, of which those from ndim on are summed.
Expr contracted(const char* function, const std::vector<Expr>& operands, const std::vector<expr::Labels>& labels,
                int ndim, int joined) {
  return applied(operands, [&](const auto& nodes) { return numpy_api::einsum(function, nodes, labels, ndim, joined); });
}

Expr reduced(const char* name, const Expr& x, const Axes& axes, bool keepdims) {
  return applied(
      {x}, [&](const auto& nodes) { return numpy_api::reduce(name, nodes[0], normalized(name, x, axes), keepdims); });
}

Expr of_matrices(const char* name, const Expr& x) {
  return applied({x}, [&](const auto& nodes) { return numpy_api::linalg(name, nodes[0]); });
}

/// The axes of an operand of einsum or of its result, numbered in the order in which `numbers` meets them.
expr::Labels numbered(std::string_view letters, std::map<char, char>& numbers) {
  expr::Labels labels;
  for (char letter : letters) {
    labels.push_back(numbers.emplace(letter, static_cast<char>(numbers.size())).first->second);
  }
  return labels;
}

[[noreturn]] void fail_einsum(std::string_view subscripts, const std::string& what) {
  throw std::invalid_argument("einsum: the subscripts are '" + std::string(subscripts) + "' but must " + what);
}

/// Lengths given as expressions; −1 is the one that follows from the others.
expr::Lengths lengths_of(const std::vector<expr::Expr>& nodes) {
  expr::Lengths lengths;
  for (const expr::Expr& node : nodes) lengths.push_back(expr::as_number(node) == -1 ? expr::Expr() : node);
  return lengths;
}

/// compute(x, lengths) with the symbols of all.
template <class F>
Expr with_lengths(const Expr& x, std::vector<Expr> lengths, const F& compute) {
  lengths.insert(lengths.begin(), x);
  return applied(lengths,
                 [&](const auto& nodes) { return compute(nodes[0], lengths_of({nodes.begin() + 1, nodes.end()})); });
}

}  // namespace

// --- Elementwise ---

Expr operator+(const Expr& a, const Expr& b) {
  return binary(numpy_api::add, a, b);
}

Expr operator-(const Expr& a, const Expr& b) {
  return binary(numpy_api::subtract, a, b);
}

Expr operator*(const Expr& a, const Expr& b) {
  return binary(numpy_api::multiply, a, b);
}

Expr operator/(const Expr& a, const Expr& b) {
  return binary(numpy_api::divide, a, b);
}

Expr operator-(const Expr& a) {
  return -1 * a;
}

Expr pow(const Expr& a, const Expr& b) {
  return binary(numpy_api::power, a, b);
}

Expr elementwise(const std::string& name, const std::vector<Expr>& operands) {
  return applied(operands, [&](const auto& nodes) { return numpy_api::elementwise(name, nodes); });
}

// --- Products ---

Expr matmul(const Expr& a, const Expr& b) {
  return binary(numpy_api::matmul, a, b);
}

Expr outer(const Expr& a, const Expr& b) {
  if (a.ndim() != 1 || b.ndim() != 1) {
    throw std::invalid_argument("outer: the operands have " + std::to_string(a.ndim()) + " and " +
                                std::to_string(b.ndim()) + " axes but must have one each");
  }
  return einsum("i,j->ij", {a, b});
}

Expr kron(const Expr& a, const Expr& b) {
  return binary(numpy_api::kron, a, b);
}

Expr einsum(std::string_view subscripts, const std::vector<Expr>& operands) {
  const std::size_t arrow = subscripts.find("->");
  if (arrow == std::string_view::npos) fail_einsum(subscripts, "name the axes of the result after '->'");
  const std::string_view result = subscripts.substr(arrow + 2);
  std::map<char, char> numbers;
  numbered(result, numbers);
  if (numbers.size() != result.size()) fail_einsum(subscripts, "name each axis of the result once");
  std::vector<expr::Labels> labels;
  std::string_view rest = subscripts.substr(0, arrow);
  for (bool is_last = false; !is_last;) {
    const std::size_t comma = rest.find(',');
    is_last = comma == std::string_view::npos;
    labels.push_back(numbered(rest.substr(0, comma), numbers));
    if (!is_last) rest.remove_prefix(comma + 1);
  }
  if (labels.size() != operands.size()) {
    fail_einsum(subscripts, "be those of " + std::to_string(operands.size()) + " operands");
  }
  for (char letter : result) {
    if (subscripts.substr(0, arrow).find(letter) == std::string_view::npos) {
      fail_einsum(subscripts, "name labels of the operands in the result");
    }
  }
  for (const auto& [letter, number] : numbers) {
    if (!((letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z'))) {
      fail_einsum(subscripts, "be letters, commas and '->'");
    }
  }
  return contracted("einsum", operands, labels, static_cast<int>(result.size()), expr::kMaxLabels);
}

// --- Reductions ---

Expr sum(const Expr& x, const Axes& axes, bool keepdims) {
  return applied({x},
                 [&](const auto& nodes) { return numpy_api::sum(nodes[0], normalized("sum", x, axes), keepdims); });
}

Expr mean(const Expr& x, const Axes& axes, bool keepdims) {
  return applied({x},
                 [&](const auto& nodes) { return numpy_api::mean(nodes[0], normalized("mean", x, axes), keepdims); });
}

Expr prod(const Expr& x, const Axes& axes, bool keepdims) {
  return reduced("prod", x, axes, keepdims);
}

Expr max(const Expr& x, const Axes& axes, bool keepdims) {
  return reduced("max", x, axes, keepdims);
}

Expr min(const Expr& x, const Axes& axes, bool keepdims) {
  return reduced("min", x, axes, keepdims);
}

Expr logsumexp(const Expr& x, const Axes& axes, bool keepdims) {
  return reduced("logsumexp", x, axes, keepdims);
}

Expr norm(const Expr& x, const Axes& axes, bool keepdims) {
  return sqrt(sum(square(x), axes, keepdims));
}

Expr softmax(const Expr& x, const Axes& axes) {
  return exp(log_softmax(x, axes));
}

Expr log_softmax(const Expr& x, const Axes& axes) {
  return x - logsumexp(x, axes, true);
}

// --- Matrices ---

Expr trace(const Expr& x) {
  if (x.ndim() != 2) {
    throw std::invalid_argument("trace: the operand has " + std::to_string(x.ndim()) + " axes but must have 2");
  }
  return sum(diag(x));
}

Expr diag(const Expr& x) {
  if (x.ndim() == 2) return contracted("diag", {x}, {expr::Labels(2, char(0))}, 1, 1);
  if (x.ndim() != 1) {
    throw std::invalid_argument("diag: the operand has " + std::to_string(x.ndim()) + " axes but must have 1 or 2");
  }
  return applied({x}, [](const auto& nodes) {
    const std::vector<expr::Expr> factors{nodes[0], expr::delta(nodes[0]->lengths[0])};
    return numpy_api::einsum("diag", factors, {expr::labels_from(0, 1), expr::labels_from(0, 2)}, 2, 2);
  });
}

Expr inv(const Expr& x) {
  return of_matrices("inv", x);
}

Expr det(const Expr& x) {
  return of_matrices("det", x);
}

Expr logdet(const Expr& x) {
  return of_matrices("logdet", x);
}

Expr solve(const Expr& a, const Expr& b) {
  return matmul(inv(a), b);
}

// --- Axes ---

Expr transpose(const Expr& x, const std::vector<int>& permutation) {
  expr::Labels labels;
  for (int axis : permutation) labels += normalized("transpose", x, axis);
  expr::Labels sorted = labels;
  std::ranges::sort(sorted);
  if (sorted != expr::labels_from(0, x.ndim())) {
    throw std::invalid_argument("transpose: the axes must be a permutation of " + std::to_string(x.ndim()) + " axes");
  }
  return applied({x}, [&](const auto& nodes) { return expr::transpose(nodes[0], labels); });
}

Expr reshape(const Expr& x, const std::vector<Expr>& lengths) {
  return with_lengths(x, lengths, [](const auto& operand, const auto& nodes) {
    if (std::ranges::count(nodes, expr::Expr()) > 1) throw std::invalid_argument("reshape: only one length may be -1");
    return numpy_api::reshape(operand, nodes);
  });
}

Expr broadcast_to(const Expr& x, const std::vector<Expr>& lengths) {
  return with_lengths(x, lengths,
                      [](const auto& operand, const auto& nodes) { return numpy_api::broadcast_to(operand, nodes); });
}

Expr vec(const Expr& x) {
  return reshape(x.T(), {-1});
}

}  // namespace matgrad
