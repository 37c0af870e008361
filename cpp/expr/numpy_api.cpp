// NumPy's functions of arrays as functions of expressions, with its rules of axes and broadcasting.
#include "expr/numpy_api.h"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "expr/linalg_op.h"
#include "expr/print.h"

namespace matgrad::expr::numpy_api {
namespace {

std::string shape_names(Operands operands) {
  std::string text;
  for (size_t k = 0; k < operands.size(); ++k) {
    if (k > 0) text += k + 1 < operands.size() ? ", " : " and ";
    text += shape_name(operands[k]->lengths);
  }
  return text;
}

[[noreturn]] void fail(const char* function, Operands operands, const char* problem) {
  throw ShapeError(std::string(function) + ": the operands have shapes " + shape_names(operands) + " " + problem);
}

size_t number_of(char label) {
  return static_cast<unsigned char>(label);
}

/// The labels of an operand's axes among those of a result that it broadcasts to.
Labels aligned(const Expr& x, int ndim) {
  return labels_from(ndim - x->ndim(), x->ndim());
}

int result_ndim(Operands operands) {
  int ndim = 0;
  for (const Expr& x : operands) ndim = std::max(ndim, x->ndim());
  return ndim;
}

/// The expression with axes of length 1 put where axes were removed.
Expr with_kept(const Expr& x, const Labels& removed) {
  int ndim = x->ndim() + int(removed.size());
  Labels labels;
  Lengths lengths(static_cast<size_t>(ndim));
  for (int axis = 0; axis < ndim; ++axis) {
    if (removed.find(char(axis)) == Labels::npos) {
      labels.push_back(char(axis));
    } else {
      lengths[size_t(axis)] = number(1);
    }
  }
  return expr::einsum(1, {factor(x, labels)}, std::move(lengths));
}

}  // namespace

bool is_one(const Expr& length) {
  return as_number(length) == 1.0;
}

bool known_to_differ(const Expr& a, const Expr& b) {
  auto m = as_number(a), n = as_number(b);
  return m && n && *m != *n;
}

Expr product_of(const Lengths& lengths, const Lengths& divisors) {
  std::vector<Factor> factors;
  for (const Expr& length : lengths) factors.push_back(factor(length, {}));
  for (const Expr& length : divisors) factors.push_back(factor(length, {}, -1));
  return expr::einsum(1, std::move(factors), {});
}

std::optional<int64_t> known_length(const Expr& length) {
  auto value = as_number(length);
  return value ? std::optional(int64_t(*value)) : std::nullopt;
}

std::string shape_name(const Lengths& lengths) {
  std::string text = "(";
  for (size_t axis = 0; axis < lengths.size(); ++axis) text += (axis > 0 ? ", " : "") + length_name(lengths[axis]);
  return text + (lengths.size() == 1 ? ",)" : ")");
}

// --- Broadcasting ---

Lengths broadcast_lengths(const char* function, Operands operands) {
  size_t ndim = size_t(result_ndim(operands));
  Lengths result(ndim, number(1));
  for (const Expr& x : operands) {
    size_t first = ndim - x->lengths.size();
    for (size_t axis = first; axis < ndim; ++axis) {
      const Expr& length = x->lengths[axis - first];
      if (is_one(length)) continue;
      Expr& common = result[axis];
      if (!is_one(common) && known_to_differ(common, length)) fail(function, operands, "and can't be broadcast");
      if (is_one(common) || as_number(length)) common = length;
    }
  }
  return result;
}

Expr broadcast_to(const Expr& x, const Lengths& lengths) {
  if (x->lengths == lengths) return x;
  int ndim = int(lengths.size()), next = ndim;
  if (x->ndim() > ndim) {
    throw ShapeError("broadcast_to: the operand has shape " + shape_name(x->lengths) + " and can't become " +
                     shape_name(lengths));
  }
  Labels labels = aligned(x, ndim);
  bool same = x->ndim() == ndim;
  for (size_t axis = 0; axis < labels.size(); ++axis) {
    const Expr& to = lengths[size_t(labels[axis])];
    if (is_one(x->lengths[axis]) && !is_one(to)) {
      labels[axis] = char(next++);
      same = false;
    } else if (known_to_differ(x->lengths[axis], to)) {
      throw ShapeError("broadcast_to: the operand has shape " + shape_name(x->lengths) + " and can't become " +
                       shape_name(lengths));
    }
  }
  return same ? x : expr::einsum(1, {factor(x, labels)}, lengths);
}

namespace {

/// a + c b.
Expr linear_combination(const char* function, const Expr& a, double c, const Expr& b) {
  std::array operands{a, b};
  Lengths lengths = broadcast_lengths(function, operands);
  return expr::sum({{1, broadcast_to(a, lengths)}, {c, broadcast_to(b, lengths)}}, Lengths(lengths.size()));
}

/// a b^exponent.
Expr product(const char* function, const Expr& a, const Expr& b, double exponent) {
  std::array operands{a, b};
  int ndim = result_ndim(operands);
  std::vector<Labels> labels{aligned(a, ndim), aligned(b, ndim)};
  return numpy_api::einsum(function, std::array{a, exponent == 1 ? b : expr::power(b, exponent)}, labels, ndim);
}

}  // namespace

Expr add(const Expr& a, const Expr& b) {
  return linear_combination("add", a, 1, b);
}
Expr subtract(const Expr& a, const Expr& b) {
  return linear_combination("subtract", a, -1, b);
}
Expr multiply(const Expr& a, const Expr& b) {
  return product("multiply", a, b, 1);
}
Expr divide(const Expr& a, const Expr& b) {
  return product("divide", a, b, -1);
}

Expr power(const Expr& a, const Expr& b) {
  std::array operands{a, b};
  if (auto exponent = as_full(b)) return expr::power(broadcast_to(a, broadcast_lengths("power", operands)), *exponent);
  return elementwise("power", operands);
}

bool is_condition(const Expr& e) {
  if (auto* map = e->as<Map>()) {
    return map->op->range == Op::Indicator ||
           (map->op == &op("maximum") && std::ranges::all_of(map->operands, &is_condition));
  }
  if (auto* array = e->as<Array>()) {
    return std::visit(
        [](auto& values) { return std::ranges::all_of(values, [](double x) { return x == 0 || x == 1; }); },
        array->values);
  }
  auto* product = e->as<Einsum>();
  if (product == nullptr || product->coefficient != 1) return false;
  auto selects = [](const Factor& factor) { return factor.node->as<Identity>() || factor.node->as<Gather>(); };
  auto is_selected = [&](char label) {  // or an axis of the result
    return int(number_of(label)) < e->ndim() ||
           std::ranges::any_of(
               product->factors,
               [&](const Factor& factor) { return selects(factor) && factor.labels.find(label) != Labels::npos; });
  };
  const bool any = std::ranges::any_of(product->factors, [&](const Factor& factor) { return !selects(factor); });
  return any && std::ranges::all_of(product->factors, [&](const Factor& factor) {
           return selects(factor) ||
                  (factor.exponent > 0 && std::ranges::all_of(factor.labels, is_selected) && is_condition(factor.node));
         });
}

Expr elementwise(const std::string& name, Operands operands) {
  const Op& operation = op(name);
  if (operands.size() != size_t(operation.arity)) {
    throw std::invalid_argument(name + ": has " + std::to_string(operands.size()) + " operands but must have " +
                                std::to_string(operation.arity));
  }
  Lengths lengths = broadcast_lengths(operation.name, operands);
  std::vector<Expr> broadcast;
  for (const Expr& x : operands) broadcast.push_back(broadcast_to(x, lengths));
  return expr::map(operation, std::move(broadcast));
}

// --- Products ---

Expr einsum(const char* function, Operands operands, const std::vector<Labels>& labels, int ndim, int joined) {
  std::array<Expr, kMaxLabels> lengths;  // of each label; 1 only if it is 1 in every operand
  int next = ndim;
  for (size_t k = 0; k < operands.size(); ++k) {
    if (labels[k].size() != operands[k]->lengths.size()) fail(function, operands, "which the labels don't fit");
    for (size_t axis = 0; axis < labels[k].size(); ++axis) {
      Expr& length = lengths.at(number_of(labels[k][axis]));
      const Expr& here = operands[k]->lengths[axis];
      const bool broadcast = int(number_of(labels[k][axis])) < joined && length && (is_one(length) || is_one(here));
      if (length && !broadcast && known_to_differ(length, here)) fail(function, operands, "that don't fit");
      if (!length || is_one(length)) length = here;
      next = std::max(next, int(number_of(labels[k][axis])) + 1);
    }
  }
  std::vector<Factor> factors;
  for (size_t k = 0; k < operands.size(); ++k) {
    Labels distinct = labels[k];
    for (size_t axis = 0; axis < distinct.size(); ++axis) {
      bool one = is_one(operands[k]->lengths[axis]) && !is_one(lengths[number_of(distinct[axis])]);
      if (one && int(number_of(distinct[axis])) < joined) distinct[axis] = char(next++);
    }
    if (next > kMaxLabels) fail(function, operands, "with too many axes");
    factors.push_back(factor(operands[k], std::move(distinct)));
  }
  return expr::einsum(1, std::move(factors), Lengths(size_t(ndim)));
}

Expr matmul(const Expr& a, const Expr& b) {
  std::array operands{a, b};
  int m = a->ndim(), n = b->ndim();
  if (m == 0 || n == 0) fail("matmul", operands, "but none may be a scalar");
  int stack = std::max({m - 2, n - 2, 0}), ndim = stack + (m > 1) + (n > 1);
  Labels left = labels_from(stack - std::max(m - 2, 0), std::max(m - 2, 0)),
         right = labels_from(stack - std::max(n - 2, 0), std::max(n - 2, 0));
  if (m > 1) left.push_back(char(stack));
  left.push_back(char(ndim));
  right.push_back(char(ndim));
  if (n > 1) right.push_back(char(ndim - 1));
  return numpy_api::einsum("matmul", operands, {left, right}, ndim, ndim);
}

// (A ⊗ B)[k,l] = Σ A[i,j] B[p,q] M[k,i,p] M[l,j,q]; the missing axes of the operand with fewer have length 1.
Expr kron(const Expr& a, const Expr& b) {
  int ndim = std::max(a->ndim(), b->ndim()), next = ndim;
  Labels left, right;
  Lengths lengths(static_cast<size_t>(ndim));
  std::vector<Factor> factors;
  for (int axis = 0; axis < ndim; ++axis) {
    int i = axis - (ndim - a->ndim()), j = axis - (ndim - b->ndim());
    bool one_left = i < 0 || is_one(a->lengths[size_t(i)]), one_right = j < 0 || is_one(b->lengths[size_t(j)]);
    if (one_left || one_right) {
      if (i >= 0) left.push_back(char(one_left && j >= 0 ? next++ : axis));
      if (j >= 0) right.push_back(char(one_left ? axis : next++));
    } else {
      left.push_back(char(next++));
      right.push_back(char(next++));
      Expr ravel = reshape_tensor({a->lengths[size_t(i)], b->lengths[size_t(j)]});
      factors.push_back(factor(ravel, {char(axis), left.back(), right.back()}));
    }
  }
  if (next > kMaxLabels) fail("kron", std::array{a, b}, "and too many axes");
  factors.push_back(factor(a, left));
  factors.push_back(factor(b, right));
  return expr::einsum(1, std::move(factors), std::move(lengths));
}

// --- Reductions ---

Expr sum(const Expr& x, const Labels& axes, bool keep) {
  Expr total = sum_over(x, axes);
  return keep ? with_kept(total, axes) : total;
}

Expr mean(const Expr& x, const Labels& axes, bool keep) {
  Lengths lengths;
  for (char axis : axes) lengths.push_back(x->lengths[size_t(axis)]);
  return divide(sum(x, axes, keep), product_of(lengths));
}

Expr reduce(const std::string& name, const Expr& x, const Labels& axes, bool keep) {
  constexpr std::pair<const char*, Reduction> kReductions[] = {
      {"max", Reduction::Max},        {"min", Reduction::Min},
      {"prod", Reduction::Prod},      {"logsumexp", Reduction::LogSumExp},
      {"argmax", Reduction::ArgMax},  {"argmin", Reduction::ArgMin},
      {"argsort", Reduction::ArgSort}};
  auto row = std::ranges::find(kReductions, name, &std::pair<const char*, Reduction>::first);
  if (row == std::end(kReductions)) throw std::invalid_argument("no reduction is called " + name);
  if (axes.empty()) return x;
  Expr result = expr::reduce(row->second, x, axes);
  return keep ? with_kept(result, axes) : result;
}

Expr linalg(const std::string& name, const Expr& x, double cutoff) {
  const LinalgOp op = linalg_op(name);
  size_t ndim = x->lengths.size();
  const bool is_square = rule(op).is_square;
  if (ndim < 2 || (is_square && known_to_differ(x->lengths[ndim - 2], x->lengths[ndim - 1]))) {
    throw ShapeError(name + ": the operand has shape " + shape_name(x->lengths) + " but must be " +
                     (is_square ? "square" : "a matrix"));
  }
  return expr::linalg(op, x, cutoff);
}

}  // namespace matgrad::expr::numpy_api
