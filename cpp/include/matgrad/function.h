// Compiled expressions: functions of arrays, evaluated by SIMD kernels on several threads.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "matgrad/array.h"
#include "matgrad/expr.h"

namespace matgrad {

namespace detail {

struct Program;

/// The precision of an argument: double for std::vector<double>, for View<const double>, and so on.
template <class A>
struct PrecisionOf {
  using type = typename A::value_type;
};
template <Precision T>
struct PrecisionOf<T> {
  using type = T;
};

}  // namespace detail

/// Values of one or several expressions as a function of arrays, which are all double or all float: what
/// matgrad::compile returns. Copies share what they are made of. May be called by any number of threads.
///
/// Arguments are numbers, contiguous ranges (one axis), Array, or View for arrays of any shape and strides; they are
/// read where they are. How it is computed is worked out for each new set of shapes and remembered.
///
/// Calls throw std::invalid_argument where shapes don't fit, std::bad_alloc where memory doesn't suffice, and
/// std::domain_error where a matrix has no inverse or decomposition.
class Function {
 public:
  explicit Function(std::shared_ptr<const detail::Program> program) : program_(std::move(program)) {}

  /// The value of the only expression. Throws std::invalid_argument if there are several.
  template <class... A>
    requires(sizeof...(A) > 0)
  auto operator()(const A&... arguments) const {
    require_single();
    return std::move(values(arguments...)[0]);
  }

  /// The values of all expressions.
  template <class First, class... A>
  auto values(const First& first, const A&... arguments) const {
    using T = typename detail::PrecisionOf<First>::type;
    static_assert((std::is_same_v<T, typename detail::PrecisionOf<A>::type> && ...),
                  "the arguments must be all double, or all float");
    const View<const T> views[] = {View<const T>(first), View<const T>(arguments)...};
    return evaluate(std::span<const View<const T>>(views));
  }

  std::vector<Array<double>> evaluate(std::span<const View<const double>> arguments) const;
  std::vector<Array<float>> evaluate(std::span<const View<const float>> arguments) const;

  /// Writes the values of all expressions to arrays of their shapes. These may overlap the arguments, but not each
  /// other.
  void evaluate(std::span<const View<const double>> arguments, std::span<const View<double>> results) const;
  void evaluate(std::span<const View<const float>> arguments, std::span<const View<float>> results) const;
  void evaluate(std::initializer_list<View<const double>> arguments,
                std::initializer_list<View<double>> results) const {
    evaluate(std::span(arguments.begin(), arguments.size()), std::span(results.begin(), results.size()));
  }
  void evaluate(std::initializer_list<View<const float>> arguments, std::initializer_list<View<float>> results) const {
    evaluate(std::span(arguments.begin(), arguments.size()), std::span(results.begin(), results.size()));
  }

  /// The names of the arguments, in order.
  std::vector<std::string> arguments() const;
  /// How many values there are.
  std::size_t size() const;

 private:
  void require_single() const;

  std::shared_ptr<const detail::Program> program_;
};

/// The value of an expression as a function of arrays, one for each symbol in the order given; those that dropped out
/// of the expression may be there or not. Throws std::invalid_argument if a symbol is missing, unknown or there twice,
/// or if LAPACK is needed but isn't there (matgrad/lapack.h).
Function compile(const Expr& result, const std::vector<Expr>& symbols);
/// The values of several expressions, which computes what they have in common once.
Function compile(const std::vector<Expr>& results, const std::vector<Expr>& symbols);

}  // namespace matgrad
