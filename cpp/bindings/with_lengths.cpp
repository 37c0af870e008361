// All nodes of an expression, those of lengths of axes included.
#include "bindings/with_lengths.h"

#include <unordered_set>

namespace matgrad::bindings {

using expr::Expr;

std::vector<Expr> with_lengths(const Expr& e) {
  std::vector<Expr> order, stack{e};
  std::unordered_set<const expr::Node*> entered, left;
  while (!stack.empty()) {
    const Expr node = stack.back();
    auto enter = [&](const Expr& part) {
      if (!entered.contains(part.get())) stack.push_back(part);
    };
    if (entered.insert(node.get()).second) {
      for (const Expr& length : node->lengths) enter(length);
      expr::for_each_operand(*node, enter);
    } else {
      stack.pop_back();
      if (left.insert(node.get()).second) order.push_back(node);
    }
  }
  return order;
}

}  // namespace matgrad::bindings
