// Programs: expressions compiled for arguments of any shapes.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "expr/node.h"
#include "plan/shape.h"
#include "plan/step.h"

namespace matgrad::plan {

/// Values of several expressions as functions of symbols. What they have in common is computed once. May be used by
/// any number of threads.
class Program {
 public:
  /// Axes that are joined in `checked` must agree, too: the functions, say, that the results are derivatives of. Throws
  /// std::invalid_argument if an expression contains a symbol that is not among the arguments.
  Program(std::vector<expr::Expr> results, std::vector<expr::Expr> symbols,
          const std::vector<expr::Expr>& checked = {});

  const std::vector<expr::Expr>& results() const { return results_; }
  const std::vector<expr::Expr>& symbols() const { return symbols_; }
  /// All expressions whose lengths have to agree.
  const std::vector<expr::Expr>& checked() const { return checked_; }
  /// Whether an array of that precision is part of an expression.
  template <class T>
  bool contains_array() const;
  /// Whether nothing but entries of other arrays is selected by an argument: its precision says nothing, then.
  bool is_index(size_t argument) const { return is_index_[argument]; }
  bool needs_lapack() const { return needs_lapack_; }
  /// Whether values are to be supplied (expr/special.h) that aren't yet.
  bool needs_special_functions() const;

  /// The plan of the last call; may be null. If its arguments are the wanted ones, it is the plan for them.
  std::shared_ptr<const Plan> last_plan() const;
  /// The plan for these arguments. Throws expr::ShapeError, std::out_of_range or TooLarge where they don't fit.
  std::shared_ptr<const Plan> plan(const std::vector<Argument>& arguments) const;

  /// Computes the results, arrays in C order as plan.result_shapes says, from inputs as plan.arguments. `is_mapped`
  /// says which inputs are shared mappings of files, whose pages are released once they have been read. Throws
  /// LinalgError.
  template <class T>
  void run(const Plan& plan, const T* const* inputs, T* const* results, const bool* is_mapped) const;

 private:
  /// An array in both precisions; one of them is in the expression itself.
  struct Constant {
    const float* f32 = nullptr;
    const double* f64 = nullptr;
    std::vector<float> rounded{};
    std::vector<double> widened{};
  };

  Plan make_plan(const std::vector<Argument>& arguments) const;

  std::vector<expr::Expr> results_, symbols_;
  std::vector<expr::Expr> nodes_;    ///< all that the results are made of, operands first
  std::vector<expr::Expr> checked_;  ///< all that has to have lengths that agree
  std::vector<bool> is_index_;       ///< of symbols_
  std::vector<expr::Expr> arrays_{};
  std::vector<Constant> constants_{};
  bool needs_lapack_ = false;
  mutable std::mutex mutex_{};
  mutable std::vector<std::shared_ptr<const Plan>> plans_{};  ///< the latest ones, the last used at the end
};

}  // namespace matgrad::plan
