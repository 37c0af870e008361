// Decides how sums in a product are signed: no minus before it if a sum can take it; else unknowns stand first.
#include "expr/print_signs.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "expr/build.h"

namespace matgrad::expr {
namespace {

/// The last name of an expression in the alphabet; a number is beyond all names.
std::string last_name(const Expr& e) {
  if (as_full(e)) return "~";
  std::string last;
  for (const Expr& node : topological_order({e})) {
    const auto* symbol = node->as<Symbol>();
    if (symbol == nullptr) continue;
    std::string name = symbol->name;
    std::ranges::transform(name, name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
    last = std::max(last, name);
  }
  return last;
}

/// Whether a sum whose sign is free reads better with the opposite one: ‖x − a‖, ‖A x − b‖, ‖X − U V‖ begin with the
/// names that stand for data and unknowns, at the end of the alphabet.
bool prefers_flipped(const Sum& sum) {
  std::string plus, minus;
  for (const Term& term : sum.terms) {
    std::string& side = term.coefficient < 0 ? minus : plus;
    side = std::max(side, last_name(term.node));
  }
  return minus > plus;
}

bool has_minus(const Sum& sum) {
  return std::ranges::any_of(sum.terms, [](const Term& t) { return t.coefficient < 0; });
}

}  // namespace

Printer::Signs::Signs(Printer& printer, const Einsum& einsum, double scale)
    : printer_(printer), before_(printer.flipped_), coefficient_(scale * einsum.coefficient) {
  std::map<const Node*, bool> odd;
  std::vector<const Node*> order;
  for (const Factor* f : printer.in_print_order(einsum)) {
    const auto* sum = f->node->as<Sum>();
    if (sum == nullptr || !has_minus(*sum)) continue;
    // an even root has no sign to spare, and log_softmax(x) has a name of its own
    const bool is_odd = std::fmod(f->exponent, 2) != 0, is_integer = f->exponent == std::trunc(f->exponent);
    const bool negated = is_integer && as_log_softmax(-f->node);
    if (!is_integer || negated || as_log_softmax(f->node)) {
      printer.flipped_[f->node.get()] = negated;
      if (negated && is_odd) coefficient_ = -coefficient_;
      continue;
    }
    if (!odd.contains(f->node.get())) order.push_back(f->node.get());
    odd[f->node.get()] ^= is_odd;
  }
  const Node* free = nullptr;
  for (const Node* node : order) {
    bool& flipped = printer.flipped_[node];
    if (odd[node] || !before_.contains(node)) flipped = prefers_flipped(*node->as<Sum>());
    if (!odd[node]) continue;
    if (flipped) coefficient_ = -coefficient_;
    if (free == nullptr) free = node;
  }
  if (coefficient_ < 0 && free != nullptr) {
    printer.flipped_[free] = !printer.flipped_[free];
    coefficient_ = -coefficient_;
  }
}

}  // namespace matgrad::expr
