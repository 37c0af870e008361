// Signs of sums in products: 2 Uᵀ(U V − X) rather than −2 Uᵀ(X − U V).
#pragma once

#include "expr/printer.h"

namespace matgrad::expr {

class Printer::Signs {
 public:
  /// Decides how the sums among the factors of a product, times a number, are printed, for as long as this lives.
  Signs(Printer& printer, const Einsum& einsum, double scale = 1);
  ~Signs() { printer_.flipped_ = std::move(before_); }
  Signs(const Signs&) = delete;
  Signs& operator=(const Signs&) = delete;

  /// The coefficient that goes with them.
  double coefficient() const { return coefficient_; }

 private:
  Printer& printer_;
  std::map<const Node*, bool> before_;
  double coefficient_;
};

}  // namespace matgrad::expr
