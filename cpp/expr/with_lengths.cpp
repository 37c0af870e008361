// All nodes and symbols of an expression, those of lengths of axes included.
#include "expr/with_lengths.h"

#include <unordered_set>

namespace matgrad::expr {

std::vector<Expr> with_lengths(const Expr& e) {
  std::vector<Expr> order, stack{e};
  std::unordered_set<const Node*> entered, left;
  while (!stack.empty()) {
    const Expr node = stack.back();
    auto enter = [&](const Expr& part) {
      if (!entered.contains(part.get())) stack.push_back(part);
    };
    if (entered.insert(node.get()).second) {
      for (const Expr& length : node->lengths) enter(length);
      for_each_operand(*node, enter);
    } else {
      stack.pop_back();
      if (left.insert(node.get()).second) order.push_back(node);
    }
  }
  return order;
}

std::set<std::string> symbol_names(const Expr& e) {
  std::set<std::string> names;
  for (const Expr& node : with_lengths(e)) {
    if (auto* symbol = node->as<Symbol>()) names.insert(symbol->name);
    if (auto* size = node->as<Size>(); size && size->axis >= 0) names.insert(size->name);
  }
  return names;
}

}  // namespace matgrad::expr
