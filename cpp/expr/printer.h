// Turns expressions into notation: matrix notation where that can say it, index notation elsewhere.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "expr/chain.h"
#include "expr/node.h"
#include "expr/notation.h"

namespace matgrad::expr {

class Printer {
 public:
  /// In index notation throughout if `pure`, else with whatever has two axes or fewer in matrix notation.
  explicit Printer(bool pure = false) : pure_(pure) {}

  /// Matrix notation of an expression with at most two axes; nothing where it can't be said.
  std::optional<Notation> matrix(const Expr& e);
  /// The entry of an expression at the given indices.
  Notation entry(const Expr& e, const std::vector<int>& indices);
  /// The whole expression: the first indices are its axes.
  Notation print(const Expr& e);
  /// Factors in the order in which they are printed: names, then by text.
  std::vector<const Factor*> in_print_order(const Einsum& einsum);

  /// The coefficient and the signs of sums in a product, so that no minus stands before it where a sum can take it.
  class Signs;
  /// Whether a sum is to be printed with the opposite sign.
  bool is_flipped(const Expr& sum) const {
    const auto found = flipped_.find(sum.get());
    return found != flipped_.end() && found->second;
  }

 private:
  std::optional<Notation> make_matrix(const Expr& e);
  Notation make_entry(const Expr& e, const std::vector<int>& indices);
  /// A product, times a number.
  std::optional<Notation> product(const Expr& e, double scale);
  std::optional<Notation> sum_of_squares(const Expr& e);
  std::optional<Notation> mean(std::vector<const Factor*>& scalars);
  std::optional<Notation> sum(const Expr& e, bool negated);
  std::optional<Notation> map(const Expr& e);
  std::optional<Notation> reduce(const Expr& e);
  std::optional<Notation> linalg(const Expr& e);
  std::optional<Notation> identity(const Expr& e);
  std::optional<Notation> gather(const Expr& e);
  /// The elementwise power of a factor by the absolute value of its exponent.
  std::optional<Notation> power_of(const Factor& f);
  std::optional<Notation> notation(const Chain& chain);
  std::optional<Notation> quotient(const std::vector<Chain>& parts);

  Notation entry_of_product(const Expr& e, const std::vector<int>& indices);
  std::optional<Notation> entry_of_component(const Component& component, const Expr& e,
                                             const std::vector<int>& indices);
  Notation entry_of_factor(const Factor& f, const std::map<int, int>& indices);
  Notation entry_of_sum(const Sum& sum, const std::vector<int>& indices, bool negated);
  Notation entry_of_reduce(const Reduce& reduce, const std::vector<int>& indices);
  Notation entry_of_linalg(const Expr& e, const std::vector<int>& indices);
  Notation entry_of_gather(const Gather& gather, const std::vector<int>& indices);
  Notation entry_of_triangle(const Triangle& triangle, const std::vector<int>& indices);
  Notation entry_of_identity(const Expr& e, const std::vector<int>& indices);

  /// How many more nodes are printed one by one, and how many more that each are within the one before.
  int left_ = 20000, levels_left_ = 400;
  bool pure_;
  int next_index_ = 0;
  std::map<const Node*, std::optional<Notation>> printed_{};
  std::map<const Node*, std::string> text_{};  ///< of nodes that have been ordered
  std::map<const Node*, bool> flipped_{};      ///< sums that are printed with the opposite sign
};

/// What stands for a subexpression that is left out.
Notation make_dots(int ndim);

/// u and the axes, for an expression that is u − logsumexp(u) and not zero.
struct LogSoftmax {
  Expr operand;
  Labels axes;
};
std::optional<LogSoftmax> as_log_softmax(const Expr& e);

/// How a function of a matrix is written that isn't the inverse.
Form linalg_form(LinalgOp op);
/// A tuple of lengths of axes.
std::string shape_text(const std::vector<Expr>& lengths);
/// Python's start:stop:step.
std::string slice_text(const SliceBounds& bounds);
/// A constant in rows; an array of more than a few numbers is abbreviated.
std::string array_text(const Array& array);
/// NumPy source of a constant.
std::string array_source(const Array& array);

}  // namespace matgrad::expr
