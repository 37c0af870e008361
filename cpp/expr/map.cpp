// The normal form of elementwise functions, reductions and functions of square matrices.
#include <algorithm>
#include <cmath>

#include "expr/linalg_op.h"
#include "expr/product.h"
#include "expr/special.h"

namespace matgrad::expr {
namespace {

/// An operand that only names another's axes: transposed, or repeated along some.
struct View {
  Expr node;
  Labels labels{};  ///< of the node's axes, each one the result's and once
};

std::optional<View> as_view(const Expr& e) {
  const auto* einsum = e->as<Einsum>();
  if (einsum == nullptr || einsum->coefficient != 1 || einsum->factors.size() != 1) return std::nullopt;
  const Factor& f = einsum->factors[0];
  if (f.exponent != 1 || f.guard) return std::nullopt;
  Labels sorted = f.labels;
  std::ranges::sort(sorted);
  const bool once = std::ranges::adjacent_find(sorted) == sorted.end();
  if (!once || (!sorted.empty() && label_of(sorted.back()) >= e->ndim())) return std::nullopt;
  return View{f.node, f.labels};
}

/// f of operands that are all the same view of others, or numbers: the view of f of those.
std::optional<Expr> view_of_map(const Op& op, const std::vector<Expr>& operands) {
  std::optional<Labels> labels;
  std::vector<Expr> inner = operands;
  for (Expr& operand : inner) {
    if (as_full(operand)) continue;
    const auto view = as_view(operand);
    if (!view || (labels && *labels != view->labels)) return std::nullopt;
    labels = view->labels;
    operand = view->node;
  }
  if (!labels) return std::nullopt;
  const auto first = std::ranges::find_if(inner, [](const Expr& e) { return !as_full(e); });
  const Lengths lengths = (*first)->lengths;
  for (Expr& operand : inner) {
    if (const auto value = as_full(operand)) operand = full(*value, lengths);
  }
  return broadcast(map(op, std::move(inner)), *labels, operands[0]->lengths);
}

/// Whether a leading minus can be taken off.
bool is_negative(const Expr& e) {
  const auto* einsum = e->as<Einsum>();
  return einsum != nullptr && einsum->coefficient < 0;
}

const Map* as_map(const Expr& e, std::string_view name) {
  const auto* map = e->as<Map>();
  return map != nullptr && map->op->name == name ? map : nullptr;
}

/// log(Σ eˣ) = logsumexp(x), log(1 + eˣ) = softplus(x), log(eˣ + eʸ) = logaddexp(x, y), log det X; log eˣ = x.
std::optional<Expr> simplified_log(const Expr& x) {
  if (const auto* exp = as_map(x, "exp")) return exp->operands[0];
  if (const auto* linalg = x->as<Linalg>(); linalg != nullptr && linalg->op == LinalgOp::Det) {
    return expr::linalg(LinalgOp::LogDet, linalg->operand);
  }
  if (const auto* sum = x->as<Sum>(); sum != nullptr && sum->terms.size() == 2) {
    const Term &a = sum->terms[0], &b = sum->terms[1];
    if (a.coefficient != 1 || b.coefficient != 1) return std::nullopt;
    const auto *p = as_map(a.node, "exp"), *q = as_map(b.node, "exp");
    if (p && q) return map("logaddexp", {p->operands[0], q->operands[0]});
    if (p && as_full(b.node) == 1) return map("softplus", {p->operands[0]});
    if (q && as_full(a.node) == 1) return map("softplus", {q->operands[0]});
  }
  if (const auto* einsum = x->as<Einsum>(); einsum != nullptr && einsum->factors.size() == 1) {
    const Factor& f = einsum->factors[0];
    const auto* exp = as_map(f.node, "exp");
    Labels axes;
    for (size_t axis = 0; axis < f.labels.size(); ++axis) {
      if (label_of(f.labels[axis]) >= x->ndim()) axes += char(axis);
    }
    const bool ordered = f.labels.size() == axes.size() + size_t(x->ndim());
    if (exp == nullptr || axes.empty() || !ordered || f.exponent != 1 || !(einsum->coefficient > 0))
      return std::nullopt;
    Labels kept;
    for (char c : f.labels) {
      if (label_of(c) < x->ndim()) kept += c;
    }
    const Expr reduced = broadcast(reduce(Reduction::LogSumExp, exp->operands[0], axes), kept, x->lengths);
    return reduced + number(std::log(einsum->coefficient));
  }
  return std::nullopt;
}

}  // namespace

Expr map(const Op& op, std::vector<Expr> operands) {
  Lengths lengths(size_t(operands[0]->ndim()));
  for (const Expr& operand : operands) {
    if (operand->ndim() != int(lengths.size())) throw ShapeError("operands have different numbers of axes");
    for (size_t axis = 0; axis < lengths.size(); ++axis) {
      lengths[axis] = common_length(lengths[axis], operand->lengths[axis]);
    }
  }
  for (Expr& operand : operands) {
    if (const auto value = as_full(operand)) operand = full(*value, lengths);
  }
  if (has_value(op) && std::ranges::all_of(operands, [](const Expr& e) { return as_full(e).has_value(); })) {
    double values[3] = {0, 0, 0};
    for (size_t k = 0; k < operands.size(); ++k) values[k] = *as_full(operands[k]);
    return full(with_value(op, [&](auto f) { return f(values[0], values[1], values[2]); }), std::move(lengths));
  }
  if (auto view = view_of_map(op, operands)) return *view;
  const Expr& x = operands[0];
  const std::string_view name = op.name;
  if (op.arity == 1) {
    if (op.parity == Op::Even && is_negative(x)) return map(op, {-x});
    if (op.parity == Op::Odd && is_negative(x)) return -map(op, {-x});
    if (name == "absolute" && is_nonnegative(x)) return x;
    if (name == "exp") {
      if (const auto* log = as_map(x, "log")) return log->operands[0];
    }
    if (name == "log") {
      if (auto simplified = simplified_log(x)) return *simplified;
    }
  } else if (name == "power") {
    if (const auto exponent = as_full(operands[1])) return power(x, *exponent);
  } else if ((name == "maximum" || name == "minimum" || name == "hypot" || name == "logaddexp" || name == "equal" ||
              name == "not_equal")) {
    if (operands[0]->hash > operands[1]->hash) std::swap(operands[0], operands[1]);
    if (operands[0] == operands[1] && (name == "maximum" || name == "minimum")) return operands[0];
  } else if (name == "where" && operands[1] == operands[2]) {
    return operands[1];
  }
  bool symmetric = lengths.size() == 2;
  for (const Expr& operand : operands) symmetric = symmetric && (operand->symmetric || as_full(operand));
  return intern(Map{&op, std::move(operands)}, std::move(lengths), symmetric);
}

Expr map(std::string_view name, std::initializer_list<Expr> operands) {
  return map(op(name), std::vector(operands));
}

Expr reduce(Reduction reduction, const Expr& operand, Labels axes) {
  if (reduction == Reduction::ArgSort) return intern(Reduce{reduction, operand, std::move(axes)}, operand->lengths);
  std::ranges::sort(axes);
  if (axes.empty()) return operand;
  if (const auto view = as_view(operand); view && int(view->labels.size()) == operand->ndim()) {
    // the axes of what is transposed; those that remain are transposed
    Labels inner, kept;
    for (size_t axis = 0; axis < view->labels.size(); ++axis) {
      const char c = view->labels[axis];
      if (axes.find(c) != Labels::npos) {
        inner += char(axis);
      } else {
        kept += char(std::ranges::count_if(
            view->labels, [&](char l) { return label_of(l) < label_of(c) && axes.find(l) == Labels::npos; }));
      }
    }
    Lengths lengths;
    for (int axis = 0; axis < operand->ndim(); ++axis) {
      if (axes.find(char(axis)) == Labels::npos) lengths.push_back(operand->lengths[size_t(axis)]);
    }
    return broadcast(reduce(reduction, view->node, inner), kept, std::move(lengths));
  }
  Lengths lengths;
  for (int axis = 0; axis < operand->ndim(); ++axis) {
    if (axes.find(char(axis)) == Labels::npos) lengths.push_back(operand->lengths[size_t(axis)]);
  }
  return intern(Reduce{reduction, operand, std::move(axes)}, std::move(lengths));
}

Expr linalg(LinalgOp op, const Expr& operand, double cutoff) {
  const int ndim = operand->ndim();
  if (ndim < 2) throw ShapeError("an operand has " + std::to_string(ndim) + " axes, but must have at least 2");
  const LinalgRule& known = rule(op);
  Labels swapped = labels_from(0, ndim);
  std::swap(swapped[size_t(ndim) - 1], swapped[size_t(ndim) - 2]);
  Expr rows = operand->lengths[size_t(ndim) - 2], columns = operand->lengths[size_t(ndim) - 1];
  if (known.is_square) rows = columns = common_length(columns, rows);
  const auto* inner = operand->as<Linalg>();
  if (inner != nullptr && inner->op == LinalgOp::Inverse && op <= LinalgOp::SignDet) {
    const Expr& x = inner->operand;
    if (op == LinalgOp::Inverse) return x;
    if (op == LinalgOp::LogDet || op == LinalgOp::LogAbsDet) return -linalg(op, x);
    if (op == LinalgOp::Det) return power(linalg(op, x), -1);
    return linalg(op, x);
  }
  if (ndim == 2 && !operand->symmetric && known.turned != LinalgRule::Other) {
    const Expr other = transpose(operand, swapped);
    auto rank = [](const Expr& e) { return std::pair(as_view(e).has_value(), e->hash); };
    if (rank(other) < rank(operand)) {
      const Expr result = linalg(op, other, cutoff);
      return known.turned == LinalgRule::Transposed ? transpose(result, swapped) : result;
    }
  }
  Lengths lengths(operand->lengths.begin(), operand->lengths.end() - 2);
  for (const char axis : std::string_view(known.axes)) {
    lengths.push_back(axis == 'm' ? rows : axis == 'n' ? columns : map("minimum", {rows, columns}));
  }
  return intern(Linalg{op, operand, cutoff}, std::move(lengths), known.is_symmetric && operand->symmetric);
}

}  // namespace matgrad::expr
