// NumPy source of products: matrix algebra where that can say it, else einsum.
#include <algorithm>
#include <cmath>

#include "expr/build.h"
#include "expr/op.h"
#include "expr/print_numpy.h"
#include "expr/print_signs.h"

namespace matgrad::expr {
namespace {

bool is_indicator(const Expr& e) {
  const auto* map = e->as<Map>();
  return map != nullptr && map->op->range == Op::Indicator;
}

bool is_summed(const Factor& f, int ndim) {
  return std::ranges::any_of(f.labels, [&](char label) { return int(uint8_t(label)) >= ndim; });
}

/// x[:, None] and the like, for an array whose axes are the given ones, ascending, of a result with ndim axes.
Code with_new_axes(Code code, const Labels& axes, int ndim) {
  if (axes.empty()) return code;
  std::string index;
  bool is_new = false;
  for (int axis = int(axes[0]); axis < ndim; ++axis) {
    const bool has = axes.find(char(axis)) != Labels::npos;
    index.append(index.empty() ? "" : ", ").append(has ? ":" : "None");
    is_new = is_new || !has;
  }
  code.present = axes;
  if (!is_new) return code;
  code.text = bound(code, Code::Atom) + "[" + index + "]";
  code.binding = Code::Atom;
  return code;
}

}  // namespace

Code placed(Code code, const Labels& axes, int ndim) {
  Labels sorted = axes;
  std::ranges::sort(sorted);
  if (sorted != axes) {
    std::string order;
    for (char axis : sorted) order.append(order.empty() ? "" : ", ").append(std::to_string(axes.find(axis)));
    code.text = bound(code, Code::Atom) + (axes.size() == 2 ? ".T" : ".transpose(" + order + ")");
    code.binding = Code::Atom;
  }
  return with_new_axes(std::move(code), sorted, ndim);
}

Code scaled(double coefficient, const std::vector<Code>& over, const std::vector<Code>& under, const Code& last) {
  std::vector<Code> pieces;
  Labels present = last.present;
  for (const Code& f : over) {
    if (!f.is_one()) pieces.push_back(f);
    present = united(present, f.present);
  }
  if (!last.is_one()) pieces.push_back(last);
  if (pieces.empty() || std::abs(coefficient) != 1) pieces.insert(pieces.begin(), {shortest(std::abs(coefficient))});
  const bool alone = pieces.size() == 1;
  Code code = pieces[0];
  code.present = present;
  if (alone && coefficient > 0 && under.empty()) return code;
  code = numeric(std::move(code));
  // A @ x * c reads as if c were multiplied first
  code.text = bound(code, alone || code.binding == Code::Times ? Code::Times : Code::Power);
  for (size_t k = 1; k < pieces.size(); ++k) {
    // c * A @ x = (c * A) @ x
    const bool is_open = k + 1 == pieces.size() && pieces[k].binding == Code::Matmul;
    code.text.append(" * ").append(bound(numeric(pieces[k]), is_open ? Code::Times : Code::Power));
  }
  for (const Code& f : under) {
    code.text.append(" / ").append(bound(numeric(f), Code::Power));
    code.present = united(code.present, f.present);
  }
  code.binding = alone && under.empty() ? std::max(Code::Times, code.binding) : Code::Times;
  if (coefficient < 0) {
    code.text = "-" + code.text;
    code.binding = Code::Sum;
  }
  return code;
}

Code NumpySource::condition(const Factor& guard, const Labels& labels, int ndim) {
  may_warn_ = true;
  Code code = full(guard.node);
  if (!is_indicator(guard.node)) code.text = std::string("(").append(bound(code, Code::Times)).append(" != 0)");
  code.binding = Code::Atom;
  Labels axes;
  std::string subscripts, distinct;
  for (char label : guard.labels) {
    const auto axis = char(labels.find(label));
    subscripts += char('a' + axis);
    if (axes.find(axis) != Labels::npos) continue;
    axes += axis;
    distinct += char('a' + axis);
  }
  if (distinct != subscripts) {
    code = call("np.einsum", {"\"" + subscripts + "->" + distinct + "\"", argument(code)});
  }
  return placed(std::move(code), axes, ndim);
}

/// ‖x‖^e, for a sum of squares to the power e/2.
std::optional<Code> NumpySource::norm(const Factor& f) {
  const auto* squares = f.node->as<Einsum>();
  if (squares == nullptr || squares->factors.size() != 1 || squares->coefficient != 1 || f.node->ndim() != 0) return {};
  const Factor& inner = squares->factors[0];
  const double power = std::abs(f.exponent) * 2;
  const bool is_matrix = inner.node->ndim() <= 2 && inner.labels == labels_from(0, inner.node->ndim());
  if (inner.exponent != 2 || inner.guard || !is_matrix || std::fmod(power, 2) == 0) return {};
  const Code base = numeric(printer_.is_flipped(inner.node) ? sum(inner.node, true) : full(inner.node));
  Code code = call("np.linalg.norm", {argument(base)});
  if (power == 1) return code;
  code.text.append("**").append(shortest(power));
  code.binding = Code::Power;
  return code;
}

Code NumpySource::power(const Factor& f) {
  if (auto code = norm(f)) return *code;
  Code code;
  if (printer_.is_flipped(f.node)) {
    const auto found = values_.find(f.node.get());
    const bool is_named = found != values_.end() && found->second.binding == Code::Atom;
    code = is_named ? Code{"-" + found->second.text, Code::Sum, found->second.present} : sum(f.node, true);
    if (int(code.present.size()) < f.node->ndim()) code = numeric(scaled(-1, {}, {}, full(f.node)));
  } else {
    code = full(f.node);
  }
  const double exponent = std::abs(f.exponent);
  if (exponent == 1) return code;
  code = numeric(std::move(code));
  if (exponent == 0.5) {
    const Labels present = code.present;
    code = call("np.sqrt", {argument(code)});
    code.present = present;
    return code;
  }
  code.text = bound(code, Code::Atom).append("**").append(shortest(exponent));
  code.binding = Code::Power;
  return code;
}

Code NumpySource::operand(const Factor& f) {
  Code code = power(f);
  if (f.exponent < 0) code = scaled(1, {}, {code}, {"1"});
  const auto masks = masks_.find(&f);
  if (masks == masks_.end()) return code;
  std::string text = argument(numeric(code));
  for (const Factor* guard : masks->second) {
    const Code where = condition(*guard, f.labels, int(f.labels.size()));
    text = call("np.where", {argument(where), text, "0"}).text;
  }
  code.text = text;
  code.binding = Code::Atom;
  return code;
}

Code NumpySource::product(const Expr& e) {
  const auto& product = *e->as<Einsum>();
  const int ndim = e->ndim();
  if (product.factors.empty()) {
    const bool negative = std::signbit(product.coefficient);
    return {shortest(product.coefficient), negative ? Code::Sum : Code::Atom};
  }
  const Printer::Signs signs(printer_, product);
  std::vector<Code> over, under;
  std::vector<const Factor*> factors, guards;
  for (const Factor* f : printer_.in_print_order(product)) {
    if (f->guard && !is_summed(*f, ndim)) {
      guards.push_back(f);
      if (is_indicator(f->node)) continue;
    } else if (f->guard) {
      for (const Factor& other : product.factors) {
        const bool covers =
            std::ranges::all_of(f->labels, [&](char l) { return other.labels.find(l) != Labels::npos; });
        if (covers) masks_[&other].push_back(f);
      }
    }
    if (!f->labels.empty()) {
      factors.push_back(f);
    } else {
      (f->exponent < 0 ? under : over).push_back(power(*f));
    }
  }
  Code last{"1"};
  if (!factors.empty()) {
    // a vector in every column: without the axes that it lacks
    const auto algebra = ndim <= 2 ? read_chain(factors, labels_from(0, ndim), e->lengths) : std::nullopt;
    last = algebra ? chain(*algebra) : einsum(e, factors);
  }
  Code code = scaled(signs.coefficient(), over, under, last);
  for (const Factor* guard : guards) {
    const Code where = condition(*guard, labels_from(0, ndim), ndim);
    const Labels present = united(code.present, where.present);
    code = call("np.where", {argument(where), argument(numeric(code)), "0"});
    code.present = present;
  }
  return code;
}

Code NumpySource::einsum(const Expr& e, const std::vector<const Factor*>& factors) {
  static constexpr std::string_view kLetters = "ijklmnopqrstuvwxyzabcdefghABCDEFGHIJKLMNOPQRSTUVWXYZ";
  struct Operand {
    Code code;
    Labels labels;
  };
  const int ndim = e->ndim();
  std::vector<Operand> operands;
  for (const Component& component : components(factors, ndim)) {
    std::vector<Expr> lengths;
    for (char label : component.labels) lengths.push_back(e->lengths[uint8_t(label)]);
    const bool fits = component.labels.size() == 1 || component.labels.size() == 2;
    const bool single = component.factors.size() == 1 && component.factors[0]->labels.size() == component.labels.size();
    const auto algebra = fits && !single ? read_chain(component.factors, component.labels, lengths) : std::nullopt;
    Code code = algebra ? chain(*algebra) : Code{};
    if (algebra && code.present.size() == component.labels.size()) {
      operands.push_back({code, component.labels});
      continue;
    }
    for (const Factor* f : component.factors) operands.push_back({operand(*f), f->labels});
  }
  std::map<char, char> letters;
  Labels present;
  for (const Operand& o : operands) {
    for (char label : o.labels) {
      if (int(uint8_t(label)) < ndim && present.find(label) == Labels::npos) present += label;
    }
  }
  std::ranges::sort(present);
  for (char label : present) letters[label] = kLetters[uint8_t(label) % kLetters.size()];
  size_t next = size_t(ndim);
  std::string subscripts;
  for (const Operand& o : operands) {
    if (!subscripts.empty()) subscripts += ',';
    for (char label : o.labels) {
      if (!letters.contains(label)) letters[label] = kLetters[next++ % kLetters.size()];
      subscripts += letters[label];
    }
  }
  Labels sorted = operands[0].labels;
  std::ranges::sort(sorted);
  if (operands.size() == 1 && sorted == present) return placed(operands[0].code, operands[0].labels, ndim);
  const bool distinct = std::ranges::adjacent_find(sorted) == sorted.end();
  if (operands.size() == 1 && distinct) {
    std::string axes;
    Labels kept;
    for (size_t axis = 0; axis < operands[0].labels.size(); ++axis) {
      const char label = operands[0].labels[axis];
      if (int(uint8_t(label)) < ndim) {
        kept += label;
      } else {
        axes.append(axes.empty() ? "" : ", ").append(std::to_string(axis));
      }
    }
    std::vector<std::string> arguments{argument(numeric(operands[0].code))};
    if (!kept.empty()) arguments.push_back(axes.size() == 1 ? "axis=" + axes : "axis=(" + axes + ")");
    return placed(call("np.sum", arguments), kept, ndim);
  }
  subscripts += "->";
  for (char label : present) subscripts += letters[label];
  std::vector<std::string> arguments{"\"" + subscripts + "\""};
  for (const Operand& o : operands) arguments.push_back(argument(numeric(o.code)));
  if (operands.size() > 2) arguments.emplace_back("optimize=True");
  return with_new_axes(call("np.einsum", arguments), present, ndim);
}

}  // namespace matgrad::expr
