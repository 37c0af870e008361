// Index notation: the entry of an expression at given indices, sums over repeated ones understood.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "expr/build.h"
#include "expr/print.h"
#include "expr/print_signs.h"

namespace matgrad::expr {
namespace {

/// Stands for a whole axis.
constexpr int kAll = -1;

std::string index_name(int index) {
  static constexpr std::string_view kNames = "ijklmnopqrstuvwxyzabcdefgh";
  if (index == kAll) return ":";
  const auto turn = size_t(index) / kNames.size();
  std::string name(1, kNames[size_t(index) % kNames.size()]);
  if (turn > 0) name += std::to_string(turn);
  return name;
}

std::string index_list(const std::vector<int>& indices) {
  std::string text;
  for (int index : indices) {
    if (!text.empty()) text += ',';
    text += index_name(index);
  }
  return text;
}

Notation subscripted(Notation base, const std::vector<int>& indices) {
  base.ndim = 0;
  return make_subscript(std::move(base), index_list(indices));
}

/// A matrix or its transpose at two indices, whichever is shorter, or else with the indices in order.
Notation matrix_entry(const Notation& m, std::vector<int> indices) {
  const Notation turned = make_transpose(m);
  const size_t a = write(m, Style::Unicode).size(), b = write(turned, Style::Unicode).size();
  const bool symmetric = write(m, Style::Unicode) == write(turned, Style::Unicode);
  const bool ordered = indices[0] <= indices[1];
  if (symmetric) std::ranges::sort(indices);
  if (symmetric || a < b || (a == b && ordered)) return subscripted(m, indices);
  return subscripted(turned, {indices[1], indices[0]});
}

const Form kReductionNames[] = {{"max", "\\max"},
                                {"min", "\\min"},
                                {"prod", "\\operatorname{prod}"},
                                {"logsumexp", "\\operatorname{logsumexp}"},
                                {"argmax", "\\operatorname{argmax}"},
                                {"argmin", "\\operatorname{argmin}"},
                                {"argsort", "\\operatorname{argsort}"}};
const Form kDelta{"δ", "\\delta"};
const Form kDeltaAt{"δ[{0,},{1,}]", "\\delta_{{0,},{1,}}"};
const Form kStep{"θ[{0,}≤{1,}]", "\\theta_{{0,} \\le {1,}}"};

}  // namespace

Notation Printer::print(const Expr& e) {
  if (!pure_) {
    if (auto printed = matrix(e)) return *printed;
  }
  std::vector<int> indices;
  for (int axis = 0; axis < e->ndim(); ++axis) indices.push_back(next_index_++);
  return entry(e, indices);
}

Notation Printer::entry(const Expr& e, const std::vector<int>& indices) {
  if (--left_ < 0 || levels_left_ == 0) return make_dots(0);
  --levels_left_;
  Notation made = make_entry(e, indices);
  ++levels_left_;
  return made;
}

Notation Printer::make_entry(const Expr& e, const std::vector<int>& indices) {
  if (!pure_ && e->ndim() <= 2 && !e->as<Identity>() && !e->as<Gather>() && !e->as<Triangle>()) {
    if (auto printed = matrix(e))
      return e->ndim() == 2 ? matrix_entry(*printed, indices) : subscripted(*printed, indices);
  }
  if (const auto* symbol = e->as<Symbol>()) return subscripted(make_symbol(symbol->name, 0, false), indices);
  if (const auto* array = e->as<Array>()) return subscripted(make_symbol(array_text(*array), 0, false), indices);
  if (e->as<Identity>()) return entry_of_identity(e, indices);
  if (e->as<Gather>()) return entry_of_gather(*e->as<Gather>(), indices);
  if (const auto* triangle = e->as<Triangle>()) return entry_of_triangle(*triangle, indices);
  if (e->as<Einsum>()) return entry_of_product(e, indices);
  if (const auto* sum = e->as<Sum>()) return entry_of_sum(*sum, indices, false);
  if (const auto* reduce = e->as<Reduce>()) return entry_of_reduce(*reduce, indices);
  if (e->as<Linalg>()) return entry_of_linalg(e, indices);
  if (const auto* map = e->as<Map>()) {
    std::vector<Notation> operands;
    for (const Expr& operand : map->operands) operands.push_back(entry(operand, indices));
    return make_function({map->op->matrix, map->op->latex}, std::move(operands), 0);
  }
  return make_symbol(length_name(e), 0, false);
}

Notation Printer::entry_of_identity(const Expr& e, const std::vector<int>& indices) {
  const auto& identity = *e->as<Identity>();
  std::string text = index_list(indices);
  if (identity.form == Identity::Form::Element) {
    text = std::to_string(*identity.bounds.start) + "," + text;
  } else if (identity.form == Identity::Form::Slice) {
    const SliceBounds& bounds = identity.bounds;
    const std::string times = bounds.step == 1 ? "" : bounds.step == -1 ? "−" : std::to_string(bounds.step);
    const std::string start = bounds.start ? std::to_string(*bounds.start) : bounds.step < 0 ? "−1" : "";
    const std::string plus = start.empty() || times == "−" ? "" : "+";
    text = start + plus + times + index_name(indices[0]) + "," + index_name(indices[1]);
  } else if (identity.form == Identity::Form::Reshape) {
    text = index_name(indices[0]) + ",(" + index_list({indices.begin() + 1, indices.end()}) + ")";
  }
  return make_subscript(make_word(kDelta, 0), text);
}

/// δ[p[i],j]
Notation Printer::entry_of_gather(const Gather& gather, const std::vector<int>& indices) {
  Notation index = entry(gather.index, {indices.begin(), indices.end() - 1});
  return make_function(kDeltaAt, {std::move(index), make_symbol(index_name(indices.back()), 0, false)}, 0);
}

/// θ[j≤i+1]
Notation Printer::entry_of_triangle(const Triangle& triangle, const std::vector<int>& indices) {
  const std::string sign = triangle.offset < 0 ? "−" : "+", size = std::to_string(std::abs(triangle.offset));
  const std::string row = index_name(indices[0]) + (triangle.offset == 0 ? "" : sign + size);
  return make_function(kStep, {make_symbol(index_name(indices[1]), 0, false), make_symbol(row, 0, false)}, 0);
}

Notation Printer::entry_of_sum(const Sum& sum, const std::vector<int>& indices, bool negated) {
  std::vector<Notation> terms;
  const int first = next_index_;
  int last = first;
  for (const Term& term : sum.terms) {
    next_index_ = first;
    const double coefficient = negated ? -term.coefficient : term.coefficient;
    terms.push_back(make_product(coefficient, {entry(term.node, indices)}, 0));
    last = std::max(last, next_index_);
  }
  next_index_ = last;
  return make_sum(std::move(terms));
}

/// max[k](X[i,k])
Notation Printer::entry_of_reduce(const Reduce& reduce, const std::vector<int>& indices) {
  std::vector<int> inner, reduced, position;
  size_t kept = 0;
  const bool is_sorted = reduce.reduction == Reduction::ArgSort;
  for (int axis = 0; axis < reduce.operand->ndim(); ++axis) {
    const bool is_reduced = reduce.axes.find(char(axis)) != Labels::npos;
    inner.push_back(is_reduced ? next_index_++ : indices[kept++]);
    if (is_reduced) reduced.push_back(inner.back());
    if (is_reduced && is_sorted) position.push_back(indices[kept++]);
  }
  Notation name = subscripted(make_word(kReductionNames[size_t(reduce.reduction)], 0), reduced);
  Notation value = make_function({"{0}({1,})", "{0}({1,})"}, {std::move(name), entry(reduce.operand, inner)}, 0);
  return is_sorted ? subscripted(value, position) : value;
}

/// (X[a,:,:])⁻¹[i,j], or of a matrix X⁻¹[i,j]
Notation Printer::entry_of_linalg(const Expr& e, const std::vector<int>& indices) {
  const auto& linalg = *e->as<Linalg>();
  const int stack = linalg.operand->ndim() - 2;
  const auto operand = stack == 0 ? matrix(linalg.operand) : std::nullopt;
  std::vector<int> inner(indices.begin(), indices.begin() + stack);
  inner.insert(inner.end(), {kAll, kAll});
  Notation printed = operand ? *operand : entry(linalg.operand, inner);
  Notation value = linalg.op == LinalgOp::Inverse
                       ? make_inverse(printed)
                       : make_function(linalg_form(linalg.op), {std::move(printed)}, e->ndim() - stack);
  const std::vector<int> own(indices.begin() + stack, indices.end());
  if (own.empty()) return value;
  return operand && own.size() == 2 ? matrix_entry(value, own) : subscripted(value, own);
}

Notation Printer::entry_of_factor(const Factor& f, const std::map<int, int>& indices) {
  std::vector<int> own;
  for (char label : f.labels) own.push_back(indices.at(uint8_t(label)));
  const Notation base = is_flipped(f.node) ? entry_of_sum(*f.node->as<Sum>(), own, true) : entry(f.node, own);
  return make_power(base, std::abs(f.exponent));
}

/// A component that touches one or two axes of the result, as an entry of a vector or matrix.
std::optional<Notation> Printer::entry_of_component(const Component& component, const Expr& e,
                                                    const std::vector<int>& indices) {
  std::vector<Expr> lengths;
  std::vector<int> own;
  for (char label : component.labels) {
    lengths.push_back(e->lengths[uint8_t(label)]);
    own.push_back(indices[uint8_t(label)]);
  }
  if (own.empty() || own.size() > 2) return std::nullopt;
  const bool is_divisor = component.factors.size() == 1 && component.factors[0]->exponent < 0;
  if (is_divisor || component.factors[0]->node->as<Identity>()) return std::nullopt;
  const auto chain = read_chain(component.factors, component.labels, lengths);
  const auto printed = chain ? notation(*chain) : std::nullopt;
  if (!printed) return std::nullopt;
  return own.size() == 2 ? matrix_entry(*printed, own) : subscripted(*printed, own);
}

Notation Printer::entry_of_product(const Expr& e, const std::vector<int>& indices) {
  const auto& einsum = *e->as<Einsum>();
  const int ndim = e->ndim();
  const Signs signs(*this, einsum);
  struct Part {
    int first;  ///< the first axis of the result that it has
    bool divides;
    Notation printed;
  };
  std::vector<Part> parts;
  std::map<int, int> names;
  for (int axis = 0; axis < ndim; ++axis) names[axis] = indices[size_t(axis)];
  std::vector<Component> found;
  for (const Factor* f : in_print_order(einsum)) {
    if (pure_ || f->labels.empty()) found.push_back({{f}, {}});
  }
  if (!pure_) {
    std::vector<const Factor*> with_axes;
    for (const Factor* f : in_print_order(einsum)) {
      if (!f->labels.empty()) with_axes.push_back(f);
    }
    for (Component& c : components(with_axes, ndim)) found.push_back(std::move(c));
  }
  auto first_axis = [&](const Component& c) {
    int first = std::numeric_limits<int>::max();
    for (const Factor* f : c.factors) {
      if (f->labels.empty()) return -1;
      for (char label : f->labels) first = std::min(first, uint8_t(label) < ndim ? int(uint8_t(label)) : first);
    }
    return first;
  };
  std::ranges::stable_sort(found, {}, first_axis);
  for (const Component& component : found) {
    if (!pure_) {
      if (auto printed = entry_of_component(component, e, indices)) {
        parts.push_back({first_axis(component), false, std::move(*printed)});
        continue;
      }
    }
    for (const Factor* f : component.factors) {
      for (char label : f->labels) {
        if (!names.contains(uint8_t(label))) names[uint8_t(label)] = next_index_++;
      }
      parts.push_back({first_axis({{f}, {}}), f->exponent < 0, entry_of_factor(*f, names)});
    }
  }
  std::vector<Notation> over, under;
  for (Part& part : parts) (part.divides ? under : over).push_back(std::move(part.printed));
  Notation result = make_product(signs.coefficient(), std::move(over), 0);
  return under.empty() ? result : make_fraction(std::move(result), make_product(1, std::move(under), 0));
}

std::string to_index(const Expr& e) {
  return write(Printer(true).print(e), Style::Unicode);
}

}  // namespace matgrad::expr
