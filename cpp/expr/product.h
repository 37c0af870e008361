// The normal form of products over index labels: the rules that make two ways of writing a product the same node.
#pragma once

#include <optional>
#include <vector>

#include "expr/build.h"

namespace matgrad::expr {

/// The most factors that a product is flattened to; operands that would exceed it stay factors of their own.
constexpr int kMaxFactors = 32;

/// A product on its way to normal form. Labels below ndim are the result's axes.
class Product {
 public:
  Product(double coefficient, Lengths lengths);

  /// Multiplies by all factors. What they are made of is brought into this product where that is the normal form.
  void take_all(std::vector<Factor> factors);
  /// Applies the rules until none applies, and makes the node.
  Expr finish();

 private:
  /// Multiplies by a factor whose labels are all in use.
  void take(Factor factor);
  bool take_einsum(const Einsum& child, int child_ndim, const Factor& factor);
  bool take_rewritten(const Factor& factor);
  void inline_contraction(const Expr& node, const Labels& labels);
  bool contract_delta();
  bool contract_reshape_or_slice();
  bool sum_gather();
  bool cancel_inverse();
  bool merge_equal();
  bool merge_exponentials();
  bool replace_unused_labels();
  bool split_closed_components();
  void make_deltas_canonical();
  std::optional<Expr> distributed() const;
  std::optional<Expr> permuted_sum() const;

  bool is_summed(int label) const { return label >= ndim_; }
  int count(int label) const;
  int fresh_label(const Expr& length);

  void note_length(int label, const Expr& length);
  void rename(int from, int to);
  void remove(size_t k) { factors_.erase(factors_.begin() + ptrdiff_t(k)); }

  double coefficient_;
  bool is_guarded_zero_ = false;
  int ndim_;
  std::vector<Factor> factors_{};
  Lengths lengths_;  ///< of every label, null where not yet known or no longer in use
};

/// The length to prefer of two that must be equal; throws ShapeError if they can't be. Either may be null.
Expr common_length(const Expr& a, const Expr& b);

/// Numbers summed labels and orders factors in a way that doesn't depend on how they were numbered and ordered.
void make_canonical(std::vector<Factor>& factors, int ndim);

/// The node of a product that is in normal form.
Expr intern_product(double coefficient, std::vector<Factor> factors, Lengths lengths);

/// Whether a term of a sum has a δ, so that the sum is distributed over what it is multiplied with.
bool has_delta(const Sum& sum);

/// The label that a character stands for.
inline int label_of(char c) {
  return int(uint8_t(c));
}

}  // namespace matgrad::expr
