// Matrix notation: what each kind of node looks like.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "expr/build.h"
#include "expr/linalg_op.h"
#include "expr/print.h"
#include "expr/print_signs.h"

namespace matgrad::expr {
namespace {

constexpr Form kDiag{"diag({0,})", "\\operatorname{diag}({0,})"};
constexpr Form kTrace{"tr({0,})", "\\operatorname{tr}({0,})"};
constexpr Form kSum{"sum({0,})", "\\operatorname{sum}({0,})"};
constexpr Form kMean{"mean({0,})", "\\operatorname{mean}({0,})"};
constexpr Form kVec{"vec({0,})", "\\operatorname{vec}({0,})"};
constexpr Form kReshape{"reshape({0,}, {1,})", "\\operatorname{reshape}({0,}, {1,})"};
constexpr Form kTriangle{"tri({0,})", "\\operatorname{tri}({0,})"};
constexpr Form kRowsOfIdentity{"I[{0,},:]", "I_{{0,},:}"};
constexpr Form kReductions[] = {{"max({0,})", "\\max({0,})"},
                                {"min({0,})", "\\min({0,})"},
                                {"prod({0,})", "\\operatorname{prod}({0,})"},
                                {"logsumexp({0,})", "\\operatorname{logsumexp}({0,})"},
                                {"argmax({0,})", "\\operatorname{argmax}({0,})"},
                                {"argmin({0,})", "\\operatorname{argmin}({0,})"},
                                {"argsort({0,})", "\\operatorname{argsort}({0,})"}};
constexpr Form kReductionsAlong[] = {
    {"max({0,}, axis={1,})", "\\max({0,}, \\mathrm{axis}={1,})"},
    {"min({0,}, axis={1,})", "\\min({0,}, \\mathrm{axis}={1,})"},
    {"prod({0,}, axis={1,})", "\\operatorname{prod}({0,}, \\mathrm{axis}={1,})"},
    {"logsumexp({0,}, axis={1,})", "\\operatorname{logsumexp}({0,}, \\mathrm{axis}={1,})"},
    {"argmax({0,}, axis={1,})", "\\operatorname{argmax}({0,}, \\mathrm{axis}={1,})"},
    {"argmin({0,}, axis={1,})", "\\operatorname{argmin}({0,}, \\mathrm{axis}={1,})"},
    {"argsort({0,}, axis={1,})", "\\operatorname{argsort}({0,}, \\mathrm{axis}={1,})"}};
constexpr Form kSoftmax[] = {{"softmax({0,})", "\\operatorname{softmax}({0,})"},
                             {"softmax({0,}, axis={1,})", "\\operatorname{softmax}({0,}, \\mathrm{axis}={1,})"}};
constexpr Form kLogSoftmax[] = {
    {"log_softmax({0,})", "\\operatorname{log\\_softmax}({0,})"},
    {"log_softmax({0,}, axis={1,})", "\\operatorname{log\\_softmax}({0,}, \\mathrm{axis}={1,})"}};

/// A function of an operand, along an axis unless it takes all of them.
Notation along(const Form& whole, const Form& along_axis, Notation operand, const Labels& axes, int ndim) {
  const bool all = int(axes.size()) == operand.ndim;
  if (all) return make_function(whole, {std::move(operand)}, ndim);
  const Notation axis = make_number(double(uint8_t(axes[0])));
  return make_function(along_axis, {std::move(operand), axis}, ndim);
}

}  // namespace

Form linalg_form(LinalgOp op) {
  return {rule(op).matrix, rule(op).latex};
}

std::optional<LogSoftmax> as_log_softmax(const Expr& e) {
  // a sum, or one that is stored with the opposite sign or transposed
  const auto* product = e->as<Einsum>();
  if (product != nullptr && product->factors.size() != 1) return std::nullopt;
  const Factor whole = product == nullptr ? factor(e, labels_from(0, e->ndim())) : product->factors[0];
  const auto* sum = whole.node->as<Sum>();
  if (sum == nullptr || whole.exponent != 1 || int(whole.labels.size()) != e->ndim()) return std::nullopt;
  for (const Term& term : sum->terms) {
    if (term.coefficient * (product == nullptr ? 1 : product->coefficient) != -1) continue;
    const auto* view = term.node->as<Einsum>();
    if (view != nullptr && (view->factors.size() != 1 || view->factors[0].exponent != 1)) continue;
    const auto* reduce = (view != nullptr ? view->factors[0].node : term.node)->as<Reduce>();
    if (reduce == nullptr || reduce->reduction != Reduction::LogSumExp) continue;
    if (e + einsum(1, {{term.node, whole.labels}}, e->lengths) == reduce->operand) {
      return LogSoftmax{reduce->operand, reduce->axes};
    }
  }
  return std::nullopt;
}

std::optional<Notation> Printer::matrix(const Expr& e) {
  if (e->ndim() > 2) return std::nullopt;
  // what has been printed with all signs as they are
  const bool keeps = flipped_.empty();
  if (const auto found = printed_.find(e.get()); keeps && found != printed_.end()) return found->second;
  if (--left_ < 0 || levels_left_ == 0) return make_dots(e->ndim());
  --levels_left_;
  auto made = make_matrix(e);
  ++levels_left_;
  if (keeps) printed_[e.get()] = made;
  return made;
}

Notation make_dots(int ndim) {
  return make_word({"…", "\\dots"}, ndim);
}

namespace {

/// The axes of a matrix that have length 1 and that it is merely broadcast along.
Labels single_axes(const Expr& e) {
  const auto* product = e->as<Einsum>();
  Labels axes;
  for (char axis = 0; axis < 2 && product != nullptr && e->ndim() == 2; ++axis) {
    const bool is_used =
        std::ranges::any_of(product->factors, [&](const Factor& f) { return f.labels.find(axis) != Labels::npos; });
    if (!is_used && as_number(e->lengths[size_t(axis)]) == 1.0) axes.push_back(axis);
  }
  return axes;
}

}  // namespace

std::optional<Notation> Printer::make_matrix(const Expr& e) {
  if (const Labels axes = single_axes(e); !axes.empty()) {  // a row or column is written as a vector
    auto vector = matrix(sum_over(e, axes));
    if (!vector) return std::nullopt;
    Notation single = axes == Labels(1, '\0') ? make_transpose(*vector) : *vector;
    single.ndim = 2;
    return single;
  }
  if (const auto* symbol = e->as<Symbol>()) return make_symbol(symbol->name, e->ndim(), e->symmetric);
  if (e->as<Size>() || e->as<SliceLength>()) return make_symbol(length_name(e), 0, false);
  if (const auto* array = e->as<Array>()) return make_symbol(array_text(*array), e->ndim(), false);
  if (e->as<Identity>()) return identity(e);
  if (e->as<Gather>()) return gather(e);
  if (const auto* triangle = e->as<Triangle>()) {
    return make_function(kTriangle, {make_number(double(triangle->offset))}, 2);
  }
  if (e->as<Einsum>()) return product(e, 1);
  if (e->as<Sum>()) return sum(e, false);
  if (e->as<Map>()) return map(e);
  if (e->as<Reduce>()) return reduce(e);
  return linalg(e);
}

std::optional<Notation> Printer::identity(const Expr& e) {
  const auto& identity = *e->as<Identity>();
  if (identity.form == Identity::Form::Delta) return make_identity();
  if (identity.form == Identity::Form::Element) {
    Notation unit = make_subscript(make_symbol("e", 1, false), std::to_string(*identity.bounds.start));
    unit.ndim = 1;
    return unit;
  }
  if (identity.form != Identity::Form::Slice) return std::nullopt;
  Notation rows = make_subscript(make_identity(), slice_text(identity.bounds) + ",:");
  rows.ndim = 2;
  return rows;
}

/// I[p,:], the rows of the identity matrix at p.
std::optional<Notation> Printer::gather(const Expr& e) {
  auto index = matrix(e->as<Gather>()->index);
  if (!index || e->ndim() > 2) return std::nullopt;
  return make_function(kRowsOfIdentity, {std::move(*index)}, e->ndim());
}

std::optional<Notation> Printer::sum(const Expr& e, bool negated) {
  if (const auto found = as_log_softmax(negated ? -e : e)) {
    auto operand = matrix(found->operand);
    if (operand) return along(kLogSoftmax[0], kLogSoftmax[1], std::move(*operand), found->axes, e->ndim());
  }
  std::vector<Notation> terms;
  for (const Term& term : e->as<Sum>()->terms) {
    const double coefficient = negated ? -term.coefficient : term.coefficient;
    if (as_full(term.node) == 1) {
      terms.push_back(make_number(coefficient));
      continue;
    }
    const bool is_product = term.node->as<Einsum>() != nullptr;
    auto node = is_product ? product(term.node, coefficient) : matrix(term.node);
    if (!node) return std::nullopt;
    terms.push_back(is_product ? std::move(*node) : make_product(coefficient, {std::move(*node)}, e->ndim()));
  }
  Notation result = make_sum(std::move(terms));
  result.symmetric = e->symmetric;
  return result;
}

std::optional<Notation> Printer::map(const Expr& e) {
  const auto& map = *e->as<Map>();
  if (map.op->name == std::string_view("exp")) {
    if (const auto found = as_log_softmax(map.operands[0])) {
      auto operand = matrix(found->operand);
      if (operand) return along(kSoftmax[0], kSoftmax[1], std::move(*operand), found->axes, e->ndim());
    }
  }
  std::vector<Notation> operands;
  for (const Expr& operand : map.operands) {
    // a scalar stands for itself, without ones
    const auto* scalar = operand->as<Einsum>();
    const bool is_scalar =
        scalar != nullptr && std::ranges::all_of(scalar->factors, [](const Factor& f) { return f.labels.empty(); });
    auto printed = matrix(is_scalar ? einsum(scalar->coefficient, scalar->factors, {}) : operand);
    if (!printed) return std::nullopt;
    operands.push_back(std::move(*printed));
  }
  Notation result = make_function({map.op->matrix, map.op->latex}, std::move(operands), e->ndim());
  result.symmetric = e->symmetric;
  return result;
}

std::optional<Notation> Printer::reduce(const Expr& e) {
  const auto& reduce = *e->as<Reduce>();
  auto operand = matrix(reduce.operand);
  if (!operand) return std::nullopt;
  const auto which = size_t(reduce.reduction);
  return along(kReductions[which], kReductionsAlong[which], std::move(*operand), reduce.axes, e->ndim());
}

std::optional<Notation> Printer::linalg(const Expr& e) {
  const auto& linalg = *e->as<Linalg>();
  auto operand = matrix(linalg.operand);
  if (!operand) return std::nullopt;
  Notation value = linalg.op == LinalgOp::Inverse
                       ? make_inverse(*operand)
                       : make_function(linalg_form(linalg.op), {std::move(*operand)}, e->ndim());
  value.symmetric = e->symmetric;
  return value;
}

std::optional<Notation> Printer::power_of(const Factor& f) {
  const double exponent = std::abs(f.exponent);
  if (const auto* map = f.node->as<Map>(); map != nullptr && map->op->name == std::string_view("exp")) {
    // softmax(2 x)² and the like: exp(2 log_softmax(x))
    const auto* product = map->operands[0]->as<Einsum>();
    if (product != nullptr && product->factors.size() == 1 && product->coefficient > 0 &&
        as_log_softmax(product->factors[0].node) && product->factors[0].exponent == 1 &&
        product->factors[0].labels == labels_from(0, f.node->ndim())) {
      auto softmax = matrix(expr::map("exp", {product->factors[0].node}));
      if (softmax) return make_power(*softmax, exponent * product->coefficient);
    }
  }
  auto base = is_flipped(f.node) ? sum(f.node, true) : matrix(f.node);
  if (!base) return std::nullopt;
  return make_power(*base, exponent);
}

/// Elementwise products and quotients.
std::optional<Notation> Printer::quotient(const std::vector<Chain>& parts) {
  std::vector<Notation> over, under;
  for (const Chain& part : parts) {
    const bool divides = part.kind == Chain::Kind::Factor && part.factor->exponent < 0;
    auto printed = divides ? power_of(*part.factor) : notation(part);
    if (!printed) return std::nullopt;
    if (divides && part.transposed) printed = make_transpose(*printed);
    (divides ? under : over).push_back(std::move(*printed));
  }
  if (under.empty()) return make_hadamard(std::move(over));
  Notation numerator = over.empty() ? make_number(1) : make_hadamard(std::move(over));
  return make_fraction(std::move(numerator), make_hadamard(std::move(under)));
}

std::optional<Notation> Printer::notation(const Chain& chain) {
  using Kind = Chain::Kind;
  if (chain.kind == Kind::Factor && chain.factor->exponent < 0) {
    Chain plain = chain;
    plain.transposed = false;
    auto fraction = quotient({plain});
    return fraction && chain.transposed ? make_transpose(*fraction) : fraction;
  }
  std::vector<Notation> parts;
  if (chain.kind != Kind::Hadamard) {
    for (const Chain& part : chain.parts) {
      auto printed = notation(part);
      if (!printed) return std::nullopt;
      parts.push_back(std::move(*printed));
    }
  }
  std::optional<Notation> result;
  switch (chain.kind) {
    case Kind::Factor:
      result = power_of(*chain.factor);
      break;
    case Kind::Ones:
      result = make_ones();
      break;
    case Kind::Identity:
      result = make_identity();
      break;
    case Kind::Product:
      return make_product(1, std::move(parts), chain.ndim);
    case Kind::Hadamard: {
      // one transpose instead of many
      const bool turned = std::ranges::all_of(chain.parts, [](const Chain& c) { return c.ndim == 2 && c.transposed; });
      std::vector<Chain> factors = chain.parts;
      for (Chain& part : factors) part.transposed = part.transposed != turned;
      result = quotient(factors);
      if (result && turned) result = make_transpose(*result);
      break;
    }
    case Kind::Kronecker:
      result = make_kronecker(std::move(parts), chain.ndim);
      break;
    case Kind::Diag:
      result = make_function(kDiag, std::move(parts), 2);
      result->symmetric = true;
      break;
    case Kind::Diagonal:
      result = make_function(kDiag, std::move(parts), 1);
      break;
    case Kind::Trace:
      result = make_function(kTrace, std::move(parts), 0);
      break;
    case Kind::Total: {
      const bool is_name = parts[0].kind == Notation::Kind::Symbol && parts[0].ndim == 1;
      if (is_name) return make_product(1, {make_transpose(make_ones()), parts[0]}, 0);
      result = make_function(kSum, std::move(parts), 0);
      break;
    }
    case Kind::Vec:
      result = make_function(kVec, std::move(parts), 1);
      break;
    case Kind::Reshape:
      parts.push_back(make_symbol(shape_text(chain.lengths), 0, false));
      result = make_function(kReshape, std::move(parts), 2);
      break;
    case Kind::Slice:
    case Kind::Entry: {
      std::string text = chain.kind == Kind::Slice ? slice_text(chain.bounds) : std::to_string(*chain.bounds.start);
      if (parts[0].ndim == 2) text = chain.axis == 0 ? text.append(",:") : std::string(":,").append(text);
      result = make_subscript(parts[0], text);
      result->ndim = chain.ndim;
      break;
    }
  }
  if (!result || !chain.transposed) return result;
  return make_transpose(*result);
}

/// ‖X‖², where all factors are squares of tensors with the same axes, all of them summed.
std::optional<Notation> Printer::sum_of_squares(const Expr& e) {
  const auto& einsum = *e->as<Einsum>();
  if (e->ndim() != 0) return std::nullopt;
  std::vector<Notation> parts;
  for (const Factor* f : in_print_order(einsum)) {
    Labels sorted = f->labels;
    std::ranges::sort(sorted);
    if (f->exponent != 2 || sorted != labels_from(0, int(sorted.size())) || sorted.empty()) return std::nullopt;
    if (f->node->as<Identity>()) return std::nullopt;
    if (const auto* symbol = f->node->as<Symbol>(); symbol != nullptr && einsum.factors.size() == 1) {
      parts.push_back(make_symbol(symbol->name, f->node->ndim(), f->node->symmetric));
      continue;
    }
    auto base = power_of({f->node, f->labels, 1});
    if (!base) return std::nullopt;
    const bool turned = einsum.factors.size() > 1 && f->labels.size() == 2 && f->labels[0] > f->labels[1];
    parts.push_back(turned ? make_transpose(*base) : std::move(*base));
  }
  const Notation square = make_power(make_norm(make_hadamard(std::move(parts))), 2);
  return make_product(einsum.coefficient, {square}, 0);
}

/// Takes a total and the lengths of its axes out of the scalars, where they are a mean.
std::optional<Notation> Printer::mean(std::vector<const Factor*>& scalars) {
  for (size_t k = 0; k < scalars.size(); ++k) {
    const auto* total = scalars[k]->node->as<Einsum>();
    if (total == nullptr || scalars[k]->exponent != 1 || total->factors.size() != 1) continue;
    const Factor& inner = total->factors[0];
    if (inner.labels != labels_from(0, inner.node->ndim()) || total->coefficient != 1 || inner.node->as<Identity>())
      continue;
    if (inner.exponent < 0) continue;
    std::vector<const Factor*> left = scalars;
    left.erase(left.begin() + std::ptrdiff_t(k));
    const bool complete = std::ranges::all_of(inner.node->lengths, [&](const Expr& length) {
      const auto found =
          std::ranges::find_if(left, [&](const Factor* f) { return f->node == length && f->exponent == -1; });
      if (found == left.end()) return false;
      left.erase(found);
      return true;
    });
    if (!complete) continue;
    auto operand = power_of(inner);
    if (!operand) continue;
    scalars = left;
    return make_function(kMean, {std::move(*operand)}, 0);
  }
  return std::nullopt;
}

std::optional<Notation> Printer::product(const Expr& e, double scale) {
  const auto& einsum = *e->as<Einsum>();
  const int ndim = e->ndim();
  if (einsum.factors.empty() && (ndim == 0 || einsum.coefficient == 0)) return make_number(scale * einsum.coefficient);
  if (const auto found = scale == 1 && einsum.factors.size() == 1 ? as_log_softmax(e) : std::nullopt) {
    auto operand = matrix(found->operand);
    if (operand) return along(kLogSoftmax[0], kLogSoftmax[1], std::move(*operand), found->axes, ndim);
  }
  const Signs signs(*this, einsum, scale);
  if (auto squares = sum_of_squares(e)) return make_product(scale, {std::move(*squares)}, 0);
  std::vector<const Factor*> scalars, factors;
  for (const Factor* f : in_print_order(einsum)) (f->labels.empty() ? scalars : factors).push_back(f);
  std::vector<Notation> over, under;
  while (auto average = mean(scalars)) over.push_back(std::move(*average));
  for (const Factor* f : scalars) {
    auto printed = power_of(*f);
    if (!printed) return std::nullopt;
    (f->exponent < 0 ? under : over).push_back(std::move(*printed));
  }
  if (!factors.empty() || ndim > 0) {
    const auto chain = read_chain(factors, labels_from(0, ndim), e->lengths);
    auto printed = chain ? notation(*chain) : std::nullopt;
    if (!printed) return std::nullopt;
    over.push_back(std::move(*printed));
  }
  const double coefficient = signs.coefficient();
  // ½ x/t = x/(2 t)
  const double divisor = std::round(1 / coefficient);
  const bool is_half = !under.empty() && std::abs(divisor) > 1 && std::abs(divisor) <= 4 && 1 / divisor == coefficient;
  Notation result = make_product(is_half ? std::copysign(1, coefficient) : coefficient, std::move(over), ndim);
  if (!under.empty()) {
    result = make_fraction(std::move(result), make_product(is_half ? std::abs(divisor) : 1, std::move(under), 0));
  }
  result.symmetric = result.symmetric || e->symmetric;
  return result;
}

std::vector<const Factor*> Printer::in_print_order(const Einsum& einsum) {
  std::vector<const Factor*> factors;
  for (const Factor& f : einsum.factors) {
    factors.push_back(&f);
    if (text_.contains(f.node.get())) continue;
    const auto before = std::exchange(flipped_, {});
    const auto printed = matrix(f.node);
    flipped_ = before;
    const bool is_name = f.node->as<Symbol>() != nullptr;
    std::string& text = text_[f.node.get()];
    if (is_name) text += ' ';
    text += printed ? write(*printed, Style::Unicode) : "~";
  }
  std::ranges::stable_sort(factors, {}, [&](const Factor* f) -> const std::string& { return text_[f->node.get()]; });
  return factors;
}

std::string to_matrix(const Expr& e) {
  return write(Printer().print(e), Style::Unicode);
}

}  // namespace matgrad::expr
