// NumPy source: what each kind of node but products is in Python.
#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "expr/build.h"
#include "expr/linalg_op.h"
#include "expr/op.h"
#include "expr/print.h"
#include "expr/print_numpy.h"

namespace matgrad::expr {
namespace {

/// Subexpressions that occur more than once become statements if they are longer than that.
constexpr size_t kLong = 120;
/// Python reads expressions that are nested about this deep; deeper ones become statements, too.
constexpr int kDeep = 30;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Whether the first bracket closes at the end.
bool is_enclosed(std::string_view text) {
  if (!text.starts_with('(') || !text.ends_with(')')) return false;
  int depth = 0;
  for (size_t k = 0; k < text.size(); ++k) {
    depth += text[k] == '(' ? 1 : text[k] == ')' ? -1 : 0;
    if (depth == 0 && k + 1 < text.size()) return false;
  }
  return true;
}

/// How tightly what an operation's form says is bound.
Code::Binding binding_of(std::string_view form) {
  if (form.starts_with("np.") || form.starts_with("scipy.") || is_enclosed(form)) return Code::Atom;
  if (form.find("**") != std::string_view::npos) return Code::Power;
  return form.find(" / ") != std::string_view::npos ? Code::Times : Code::Sum;
}

std::string number_source(double value) {
  if (std::isnan(value)) return "np.nan";
  if (std::isinf(value)) return value > 0 ? "np.inf" : "-np.inf";
  return shortest(value);
}

std::string axes_text(const Labels& axes) {
  if (axes.size() == 1) return std::to_string(int(axes[0]));
  std::string text = "(";
  for (char axis : axes) text.append(axis == axes[0] ? "" : ", ").append(std::to_string(int(axis)));
  return text + ")";
}

}  // namespace

Labels united(const Labels& a, const Labels& b) {
  Labels all = a;
  for (char axis : b) {
    if (all.find(axis) == Labels::npos) all += axis;
  }
  std::ranges::sort(all);
  return all;
}

std::string bound(const Code& code, Code::Binding least) {
  return code.binding < least ? "(" + code.text + ")" : code.text;
}

std::string argument(const Code& code) {
  return is_enclosed(code.text) ? code.text.substr(1, code.text.size() - 2) : code.text;
}

Code call(const std::string& function, const std::vector<std::string>& arguments) {
  std::string text = function + "(";
  for (const std::string& a : arguments) text.append(&a == arguments.data() ? "" : ", ").append(a);
  return {text + ")"};
}

Code numeric(Code code) {
  if (!code.is_bool) return code;
  code.is_bool = false;
  code.text = "1.0 * " + bound(code, Code::Power);
  code.binding = Code::Times;
  return code;
}

NumpySource::NumpySource(const Expr& e, const std::vector<Expr>& symbols) : root_(e) {
  std::vector<Expr> nodes = topological_order({e});
  std::map<const Node*, int> levels;
  for (const Expr& node : nodes) {
    int& level = levels[node.get()];
    for_each_operand(*node, [&](const Expr& operand) {
      ++uses_[operand.get()];
      level = std::max(level, levels[operand.get()] + 1);
    });
    if (level < kDeep || node == e) continue;
    level = 0;
    deep_.push_back(node);
    is_statement_.insert(node.get());
  }
  nodes.insert(nodes.end(), symbols.begin(), symbols.end());
  for (const Expr& node : nodes) {
    const auto* symbol = node->as<Symbol>();
    if (symbol == nullptr) continue;
    names_.insert(symbol->name);
    for (int axis = 0; axis < node->ndim(); ++axis) {
      const auto* size = node->lengths[size_t(axis)]->as<Size>();
      if (size == nullptr || size->axis >= 0) continue;
      std::string text = symbol->name;
      text.append(".shape[").append(std::to_string(axis)).append("]");
      lengths_.emplace(size->name, std::move(text));
    }
  }
}

std::string NumpySource::program() {
  for (const Expr& e : deep_) value(e);
  const std::string value = numeric(full(root_)).text;
  if (statements_.empty() && !may_warn_) return value;
  const std::string indent = may_warn_ ? "    " : "";
  std::string text = may_warn_ ? "with np.errstate(all=\"ignore\"):\n" : "";
  for (const std::string& statement : statements_) text.append(indent).append(statement).append("\n");
  return text.append(indent).append("result = ").append(value);
}

Code NumpySource::value(const Expr& e) {
  const auto found = values_.find(e.get());
  if (found != values_.end()) return found->second;
  Code code = make_value(e);
  if ((uses_[e.get()] > 1 && code.text.size() > kLong) || is_statement_.contains(e.get())) {
    std::string name;
    for (size_t k = statements_.size();; ++k) {
      name.assign("t").append(std::to_string(k));
      if (!names_.contains(name)) break;
    }
    statements_.push_back(name + " = " + code.text);
    names_.insert(name);
    code.text = name;
    code.binding = Code::Atom;
  }
  return values_[e.get()] = code;
}

Code NumpySource::full(const Expr& e) {
  Code code = value(e);
  if (int(code.present.size()) == e->ndim()) return code;
  if (const auto number = as_full(e)) {
    code = *number == 1 ? call("np.ones", {shape(e->lengths)})
                        : call("np.full", {shape(e->lengths), number_source(*number)});
    if (*number == std::trunc(*number) && *number != 1) code.text.insert(code.text.size() - 1, ".0");
  } else {
    code = call("np.broadcast_to", {argument(numeric(code)), shape(e->lengths)});
  }
  code.present = labels_from(0, e->ndim());
  return code;
}

Code NumpySource::make_value(const Expr& e) {
  const Labels all = labels_from(0, e->ndim());
  if (const auto* symbol = e->as<Symbol>()) return {.text = symbol->name, .present = all};
  if (const auto* array = e->as<Array>()) return {.text = array_source(*array), .present = all};
  if (e->as<Size>() || e->as<SliceLength>()) return {.text = length(e)};
  if (e->as<Identity>()) return identity(e);
  if (const auto* gather = e->as<Gather>()) {
    const std::string index = argument(full(gather->index));
    Code rows{.text = "np.eye(" + length(e->lengths.back()) + ")[np.intp(" + index + ")]", .present = all};
    return rows;
  }
  if (const auto* triangle = e->as<Triangle>()) {
    Code code = call("np.tri", {length(e->lengths[0]), length(e->lengths[1]), std::to_string(triangle->offset)});
    code.present = all;
    return code;
  }
  if (e->as<Einsum>()) return product(e);
  if (e->as<Sum>()) return sum(e, false);
  if (e->as<Map>()) return map(e);
  if (e->as<Reduce>()) return reduce(e);
  return linalg(e);
}

std::string NumpySource::length(const Expr& e) {
  if (const auto number = as_number(e)) return shortest(*number);
  if (const auto* size = e->as<Size>()) {
    const auto found = lengths_.find(size->name);
    return size->axis < 0 && found != lengths_.end() ? found->second : length_name(e);
  }
  if (const auto* slice = e->as<SliceLength>()) {
    std::string text = "len(range(";
    return text.append(length(slice->length)).append(")[").append(slice_text(slice->bounds)).append("])");
  }
  const auto* product = e->as<Einsum>();
  if (product == nullptr) return argument(value(e));
  std::string text = product->coefficient == 1 ? "" : shortest(product->coefficient);
  for (const Factor& f : product->factors) {
    for (int k = 0; k < int(f.exponent); ++k) text.append(text.empty() ? "" : " * ").append(length(f.node));
  }
  return text;
}

std::string NumpySource::shape(const std::vector<Expr>& lengths) {
  std::string text = "(";
  for (const Expr& l : lengths) text.append(&l == lengths.data() ? "" : ", ").append(length(l));
  return text + (lengths.size() == 1 ? ",)" : ")");
}

Code NumpySource::identity(const Expr& e) {
  const auto& identity = *e->as<Identity>();
  Code code;
  if (identity.form == Identity::Form::Reshape) {
    code = call("np.eye", {length(e->lengths[0])});
    code.text.append(".reshape").append(shape(e->lengths));
  } else {
    code = call("np.eye", {length(e->lengths.back())});
    const SliceBounds& bounds = identity.bounds;
    if (identity.form == Identity::Form::Element) {
      code.text.append("[").append(std::to_string(*bounds.start)).append("]");
    } else if (identity.form == Identity::Form::Slice) {
      code.text.append("[").append(slice_text(bounds)).append("]");
    }
  }
  code.present = labels_from(0, e->ndim());
  return code;
}

Code NumpySource::sum(const Expr& e, bool negated) {
  struct Piece {
    bool minus;
    size_t length;
    std::string text;
  };
  Code code{.binding = Code::Sum};
  std::vector<Piece> pieces;
  for (const Term& term : e->as<Sum>()->terms) {
    const double size = std::abs(term.coefficient);
    const auto number = as_full(term.node);
    Code piece = number ? Code{number_source(std::abs(size * *number))} : numeric(value(term.node));
    const bool minus = (term.coefficient < 0) != (number && *number < 0);
    if (!number) piece = scaled(size, {}, {}, piece);
    code.present = united(code.present, piece.present);
    pieces.push_back({minus != negated, number ? 0 : piece.text.size(), bound(piece, Code::Times)});
  }
  std::ranges::stable_sort(pieces, {}, [](const Piece& p) { return std::tie(p.minus, p.length, p.text); });
  for (const Piece& piece : pieces) {
    if (!code.text.empty()) {
      code.text += piece.minus ? " - " : " + ";
    } else if (piece.minus) {
      code.text += "-";
    }
    code.text += piece.text;
  }
  return code;
}

Code NumpySource::map(const Expr& e) {
  const auto& map = *e->as<Map>();
  std::string form = map.op->numpy;
  if (map.op->name == std::string_view("where")) may_warn_ = true;
  std::vector<Code> operands;
  Code code{.binding = binding_of(form), .is_bool = map.op->range == Op::Indicator};
  for (const Expr& operand : map.operands) {
    const auto number = as_full(operand);
    // exp(−(−x)) = exp(x)
    const auto* product = operand->as<Einsum>();
    const size_t minus = form.find("-{0}");
    if (minus != std::string::npos && product != nullptr && product->coefficient < 0) {
      form.replace(minus, 4, "{0,}");
      operands.push_back(numeric(value(-operand)));
      code.present = operands.back().present;
      continue;
    }
    const bool is_condition = map.op->name == std::string_view("where") && operands.empty();
    Code value = number ? Code{number_source(*number), *number < 0 ? Code::Sum : Code::Atom} : this->value(operand);
    operands.push_back(is_condition ? value : numeric(std::move(value)));
    code.present = united(code.present, operands.back().present);
  }
  for (size_t k = 0; k < form.size(); ++k) {
    const bool is_slot = form[k] == '{' && k + 2 < form.size() && is_digit(form[k + 1]);
    if (!is_slot) {
      code.text += form[k];
      continue;
    }
    const Code& operand = operands[size_t(form[k + 1] - '0')];
    const bool in_list = form[k + 2] == ',';
    code.text += in_list ? argument(operand) : bound(operand, Code::Atom);
    k += in_list ? 3 : 2;
  }
  return code;
}

Code NumpySource::reduce(const Expr& e) {
  static constexpr const char* kNames[] = {"np.max",    "np.min",    "np.prod",   "np.logaddexp.reduce",
                                           "np.argmax", "np.argmin", "np.argsort"};
  const auto& reduce = *e->as<Reduce>();
  const int ndim = reduce.operand->ndim();
  std::vector<std::string> arguments{argument(numeric(full(reduce.operand)))};
  const bool all = int(reduce.axes.size()) == ndim;
  if (reduce.reduction == Reduction::ArgSort) {
    arguments.push_back(std::string("axis=").append(axes_text(reduce.axes)));
    arguments.emplace_back("kind=\"stable\"");
    Code code = call("np.argsort", arguments);
    code.present = labels_from(0, e->ndim());
    return code;
  }
  const bool by_default = all && (reduce.reduction != Reduction::LogSumExp || ndim == 1);
  if (!by_default) arguments.push_back(std::string("axis=").append(all ? "None" : axes_text(reduce.axes)));
  Code code = call(kNames[size_t(reduce.reduction)], arguments);
  code.present = labels_from(0, e->ndim());
  return code;
}

Code NumpySource::linalg(const Expr& e) {
  constexpr std::string_view kSlot = "{0,}";
  const auto& linalg = *e->as<Linalg>();
  std::string operand = argument(full(linalg.operand));
  if (linalg.op == LinalgOp::PseudoInverse && linalg.cutoff != kDefaultCutoff) {
    operand += ", rcond=" + number_source(linalg.cutoff);
  }
  Code code{rule(linalg.op).numpy};
  for (size_t at = 0; (at = code.text.find(kSlot, at)) != std::string::npos; at += operand.size()) {
    code.text.replace(at, kSlot.size(), operand);
  }
  code.present = labels_from(0, e->ndim());
  return code;
}

std::string to_numpy(const Expr& e, const std::vector<Expr>& symbols) {
  return NumpySource(e, symbols).program();
}

}  // namespace matgrad::expr
