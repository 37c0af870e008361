// Public expressions: symbols, derivatives, substitution and printed forms.
#include "matgrad/expr.h"

#include <algorithm>

#include "api/copy.h"
#include "api/expression.h"
#include "expr/diff.h"
#include "expr/numpy_api.h"
#include "expr/print.h"

namespace matgrad {

using detail::applied;
using detail::wrapped;
namespace numpy_api = expr::numpy_api;

namespace detail {

std::vector<expr::Expr> merged(std::vector<expr::Expr> symbols, const std::vector<expr::Expr>& others) {
  for (const expr::Expr& symbol : others) {
    auto known = std::ranges::find_if(symbols, [&](const auto& other) { return name_of(other) == name_of(symbol); });
    if (known == symbols.end()) {
      symbols.push_back(symbol);
    } else if (!(*known == symbol)) {
      throw std::invalid_argument("two different symbols are called '" + name_of(symbol) +
                                  "': they differ in their number of axes, lengths or symmetry");
    }
  }
  return symbols;
}

Expr wrapped(expr::Expr node, std::vector<expr::Expr> symbols, std::vector<expr::Expr> checked) {
  return Expr(std::make_shared<const Expression>(Expression{std::move(node), std::move(symbols), std::move(checked)}));
}

}  // namespace detail

namespace {

/// Whether a text is an identifier, whose letters may be any of Unicode's.
bool is_identifier(std::string_view text) {
  auto is_letter = [](char c) {
    return c == '_' || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || static_cast<unsigned char>(c) >= 0x80;
  };
  auto is_part = [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); };
  return !text.empty() && is_letter(text[0]) && std::ranges::all_of(text, is_part);
}

expr::Expr length_of(const std::string& function, const std::string& symbol, const Length& length) {
  if (length.number()) {
    if (*length.number() >= 0) return expr::number(static_cast<double>(*length.number()));
    throw std::invalid_argument(function + ": a length of " + symbol + " is " + std::to_string(*length.number()) +
                                " but must not be negative");
  }
  if (length.name().empty()) return {};
  if (is_identifier(length.name())) return expr::size(length.name());
  throw std::invalid_argument(function + ": a length of " + symbol + " is '" + length.name() +
                              "' but a name must be an identifier");
}

Expr new_symbol(const std::string& function, const std::string& name, const std::vector<Length>& lengths,
                bool symmetric = false) {
  if (!is_identifier(name)) {
    throw std::invalid_argument(function + ": name is '" + name + "' but must be an identifier");
  }
  expr::Lengths nodes;
  for (const Length& length : lengths) nodes.push_back(length_of(function, name, length));
  const expr::Expr node = expr::symbol(name, std::move(nodes), symmetric);
  return wrapped(node, {node});
}

template <class T>
Expr new_constant(const View<const T>& values) {
  std::vector<T> copy(static_cast<std::size_t>(values.size()));
  detail::copy_elements(values, View<T>(copy.data(), values.shape()));
  if (values.ndim() == 0) return Expr(static_cast<double>(copy[0]));
  return wrapped(expr::array({{values.shape().begin(), values.shape().end()}, std::move(copy)}), {});
}

/// The axes [first, last) in reverse order.
void append_reversed(expr::Labels& permutation, int first, int last) {
  for (int axis = last; axis-- > first;) permutation.push_back(static_cast<char>(axis));
}

expr::Expr reversed_axes(const expr::Expr& x) {
  expr::Labels permutation;
  append_reversed(permutation, 0, x->ndim());
  return expr::transpose(x, permutation);
}

/// The matrix ∂vec(y)/∂vec(x), columns stacked.
expr::Expr flattened(const expr::Expr& derivative, int y_ndim) {
  expr::Labels permutation;
  append_reversed(permutation, 0, y_ndim);
  append_reversed(permutation, y_ndim, derivative->ndim());
  const auto middle = derivative->lengths.begin() + y_ndim;
  return numpy_api::reshape(expr::transpose(derivative, permutation),
                            {numpy_api::product_of({derivative->lengths.begin(), middle}),
                             numpy_api::product_of({middle, derivative->lengths.end()})});
}

/// A derivative whose first y_ndim axes are y's, in a layout.
expr::Expr arranged(const expr::Expr& derivative, int y_ndim, Layout layout) {
  if (layout == Layout::Tensor) return derivative;
  const int x_ndim = derivative->ndim() - y_ndim;
  const bool is_classical = (y_ndim == 2 && x_ndim == 0) || (y_ndim == 0 && x_ndim == 2);
  const expr::Expr numerator = !is_classical ? flattened(derivative, y_ndim)
                               : y_ndim == 2 ? derivative
                                             : reversed_axes(derivative);
  return layout == Layout::Numerator ? numerator : reversed_axes(numerator);
}

}  // namespace

Expr::Expr(double number) : Expr(wrapped(expr::number(number), {})) {}

int Expr::ndim() const {
  return expression_->node->ndim();
}

Expr Expr::length(int axis) const {
  const expr::Labels number = detail::normalized("length", *this, axis);
  return wrapped(expression_->node->lengths[static_cast<std::size_t>(number[0])], expression_->symbols);
}

std::string Expr::name() const {
  const auto* symbol = expression_->node->as<expr::Symbol>();
  return symbol ? symbol->name : "";
}

std::vector<Expr> Expr::symbols() const {
  std::vector<Expr> result;
  for (const expr::Expr& symbol : expression_->symbols) result.push_back(wrapped(symbol, {symbol}));
  return result;
}

bool Expr::equals(const Expr& other) const {
  return expression_->node == other.expression_->node;
}

Expr Expr::diff(const Expr& wrt, Layout layout, Mode mode) const {
  return diff(std::vector{wrt}, layout, mode);
}

Expr Expr::diff(const std::vector<Expr>& wrt, Layout layout, Mode mode) const {
  if (wrt.empty()) throw std::invalid_argument("diff: needs at least one symbol to differentiate by");
  std::vector<expr::Expr> variables, symbols = expression_->symbols;
  for (const Expr& x : wrt) {
    if (x.name().empty()) {
      throw std::invalid_argument("diff: " + x.to_string() + " is not a symbol, and a derivative is by symbols only");
    }
    variables.push_back(x.expression_->node);
    symbols = detail::merged(std::move(symbols), x.expression_->symbols);
  }
  const bool hessian = wrt.size() == 2 && ndim() == 0 && wrt[0].ndim() == 1 && wrt[1].ndim() == 1;
  if (layout != Layout::Tensor && wrt.size() > 1 && !hessian) {
    throw std::invalid_argument("diff: the layout must be Tensor for a derivative by " + std::to_string(wrt.size()) +
                                " symbols, unless it is that of a scalar by two vectors");
  }
  const expr::Expr derivative = detail::with_standard_errors([&] {
    return arranged(expr::derivative(expression_->node, variables, static_cast<expr::Mode>(mode)), hessian ? 1 : ndim(),
                    layout);
  });
  std::vector<expr::Expr> checked{expression_->node};
  checked.insert(checked.end(), expression_->checked.begin(), expression_->checked.end());
  return wrapped(derivative, std::move(symbols), std::move(checked));
}

Expr Expr::substitute(const std::vector<std::pair<Expr, Expr>>& replacements) const {
  std::vector<std::pair<expr::Expr, expr::Expr>> nodes;
  std::vector<expr::Expr> symbols = expression_->symbols, added;
  for (const auto& [symbol, replacement] : replacements) {
    const expr::Expr& old = symbol.expression_->node;
    const expr::Expr& fresh = replacement.expression_->node;
    if (std::erase(symbols, old) == 0) {
      throw std::invalid_argument("substitute: the expression has no symbol " + symbol.to_string());
    }
    if (old->ndim() != fresh->ndim()) {
      throw std::invalid_argument("substitute: " + symbol.name() + " has " + std::to_string(old->ndim()) +
                                  " axes but would become an expression with " + std::to_string(fresh->ndim()));
    }
    for (std::size_t axis = 0; axis < old->lengths.size(); ++axis) {
      const auto wanted = numpy_api::known_length(old->lengths[axis]);
      if (wanted && (*wanted == 1 ? !numpy_api::is_one(fresh->lengths[axis])
                                  : numpy_api::known_to_differ(old->lengths[axis], fresh->lengths[axis]))) {
        throw std::invalid_argument("substitute: axis " + std::to_string(axis) + " of " + symbol.name() +
                                    " has length " + std::to_string(*wanted) +
                                    " but would become one of another length");
      }
    }
    nodes.emplace_back(old, fresh);
    added = detail::merged(std::move(added), replacement.expression_->symbols);
  }
  const auto node = detail::with_standard_errors([&] { return expr::substitute(expression_->node, nodes); });
  return wrapped(node, detail::merged(std::move(symbols), added));
}

Expr Expr::T() const {
  return wrapped(reversed_axes(expression_->node), expression_->symbols);
}

Expr Expr::operator[](std::initializer_list<Index> indices) const {
  std::vector<numpy_api::Index> items;
  for (const Index& index : indices) {
    if (index.position()) {
      items.emplace_back(*index.position());
    } else {
      items.emplace_back(expr::SliceBounds{index.slice().start, index.slice().stop, index.slice().step});
    }
  }
  return applied({*this}, [&](const auto& nodes) { return numpy_api::index(nodes[0], items); });
}

std::string Expr::to_string() const {
  return expr::to_matrix(expression_->node);
}

std::string Expr::to_latex() const {
  return expr::to_latex(expression_->node);
}

std::string Expr::to_numpy() const {
  return expr::to_numpy(expression_->node, expression_->symbols);
}

std::string Expr::to_index() const {
  return expr::to_index(expression_->node);
}

// --- Symbols and constants ---

Expr scalar(const std::string& name) {
  return new_symbol("scalar", name, {});
}

Expr vector(const std::string& name, const Length& length) {
  return new_symbol("vector", name, {length});
}

Expr matrix(const std::string& name, const Length& rows, const Length& columns, bool symmetric) {
  auto is_given = [](const Length& length) { return length.number() || !length.name().empty(); };
  const Length& m = symmetric && !is_given(rows) ? columns : rows;
  const Length& n = symmetric && !is_given(columns) ? rows : columns;
  if (symmetric && (m.number() != n.number() || m.name() != n.name())) {
    throw std::invalid_argument("matrix: the symmetric " + name + " must be square but has different lengths");
  }
  return new_symbol("matrix", name, {m, n}, symmetric);
}

Expr tensor(const std::string& name, const std::vector<Length>& lengths) {
  return new_symbol("tensor", name, lengths);
}

Expr constant(const View<const double>& values) {
  return new_constant(values);
}

Expr constant(const View<const float>& values) {
  return new_constant(values);
}

Expr eye(const Length& length) {
  const expr::Expr node = length_of("eye", "the matrix", length);
  if (!node) throw std::invalid_argument("eye: the length must be a number or a name");
  return wrapped(expr::delta(node), {});
}

}  // namespace matgrad
