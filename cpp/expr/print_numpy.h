// NumPy source of expressions: pieces of code that know which axes they have and how tightly they bind.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "expr/chain.h"
#include "expr/node.h"
#include "expr/printer.h"

namespace matgrad::expr {

/// A piece of Python that evaluates to an array which NumPy broadcasts to the axes of what it stands for.
struct Code {
  enum Binding : uint8_t { Sum = 1, Times, Matmul, Power, Atom };
  std::string text{};
  Binding binding = Atom;
  Labels present{};      ///< the axes along which it has its full length, ascending; along the others one or none
  bool is_bool = false;  ///< True and False for 1 and 0

  bool is_one() const { return text == "1"; }
};

/// The code, in parentheses if it binds less tightly.
std::string bound(const Code& code, Code::Binding least);

class NumpySource {
 public:
  /// Lengths of axes are those of the expression's symbols or of the others given.
  NumpySource(const Expr& e, const std::vector<Expr>& symbols);
  /// The program for an expression: an expression, or statements of which the last assigns `result`.
  std::string program();

 private:
  Code value(const Expr& e);
  /// With its full length along all axes.
  Code full(const Expr& e);
  Code make_value(const Expr& e);
  Code identity(const Expr& e);
  Code sum(const Expr& e, bool negated);
  Code map(const Expr& e);
  Code reduce(const Expr& e);
  Code linalg(const Expr& e);
  std::string length(const Expr& e);
  std::string shape(const std::vector<Expr>& lengths);

  // products: print_numpy_product.cpp
  Code product(const Expr& e);
  Code einsum(const Expr& e, const std::vector<const Factor*>& factors);
  std::optional<Code> norm(const Factor& f);
  /// The elementwise power by the absolute value of the exponent.
  Code power(const Factor& f);
  /// A factor, or 1 over it, as an operand of a contraction.
  Code operand(const Factor& f);
  /// Where a guard isn't zero, along axes that have the given labels.
  Code condition(const Factor& guard, const Labels& labels, int ndim);

  // matrix algebra: print_numpy_chain.cpp
  Code chain(const Chain& c);
  Code matrix_chain(const std::vector<Chain>& parts);
  Code column_chain(const std::vector<Chain>& parts);
  Code row_chain(const std::vector<Chain>& parts);
  Code product_chain(const Chain& c);
  Code elementwise(const std::vector<Chain>& parts);

  Expr root_;
  Printer printer_{};
  std::map<const Node*, Code> values_{};
  std::map<const Node*, int> uses_{};
  std::vector<Expr> deep_{};                      ///< nodes that many levels of nesting apart, innermost first
  std::set<const Node*> is_statement_{};          ///< whether they are long or not
  std::set<std::string> names_{};                 ///< of symbols
  std::map<std::string, std::string> lengths_{};  ///< of axes that have a name of their own
  std::vector<std::string> statements_{};
  std::map<const Factor*, std::vector<const Factor*>> masks_{};  ///< guards of factors that are summed
  bool may_warn_ = false;                                        ///< of values that are then not taken
};

/// coefficient Π over · last / Π under.
Code scaled(double coefficient, const std::vector<Code>& over, const std::vector<Code>& under, const Code& last);
/// All the axes of either.
Labels united(const Labels& a, const Labels& b);
/// An array with the given axes of a result, ascending or not, among all axes of the result up to ndim.
Code placed(Code code, const Labels& axes, int ndim);
/// Floating-point numbers for True and False.
Code numeric(Code code);
/// The function call f(a, b, …).
Code call(const std::string& function, const std::vector<std::string>& arguments);
/// The code as one of several arguments.
std::string argument(const Code& code);

}  // namespace matgrad::expr
