// What stands on paper for an expression: a small tree of matrix notation, written in Unicode or LaTeX.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace matgrad::expr {

enum class Style : uint8_t { Unicode, Latex };

/// How a function is written. "{0}" stands for the first operand, in parentheses where it needs them beside an
/// operator; "{0,}" for the operand in a list of arguments.
struct Form {
  const char* matrix;
  const char* latex;
};

struct Notation;

/// The pieces that notation is made of, never changed and shared between copies.
class Parts {
 public:
  Parts() = default;
  Parts(std::vector<Notation> parts);
  Parts(std::initializer_list<Notation> parts);

  const Notation* begin() const;
  const Notation* end() const;
  size_t size() const;
  const Notation& operator[](size_t k) const;
  /// Where the text of a part is kept once it has been written.
  std::string& text(size_t k, Style style) const;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_{};
};

/// A piece of notation. Vectors are columns; a row is the transpose of a vector.
struct Notation {
  enum class Kind : uint8_t {
    Number,     ///< value
    Symbol,     ///< text: a name
    Word,       ///< form, without operands
    Function,   ///< form of the parts
    Sum,        ///< terms
    Product,    ///< value times scalar parts, then a matrix product
    Hadamard,   ///< elementwise product
    Kronecker,  ///< A ⊗ B
    Fraction,   ///< parts[0] / parts[1], elementwise
    Power,      ///< parts[0]^value; the matrix power of a matrix
    Transpose,  ///< parts[0]ᵀ, the part neither a transpose nor an inverse
    Inverse,    ///< parts[0]⁻¹
    InverseTranspose,
    Subscript,  ///< parts[0][text], text a list of labels
  };
  Kind kind = Kind::Number;
  int ndim = 0;
  bool symmetric = false;
  double value = 1;
  std::string text{};
  Form form{};
  Parts parts{};
};

// --- Making notation; what is made is flattened, and has its transposes pushed in where that is as short ---

Notation make_number(double value);
Notation make_symbol(const std::string& name, int ndim, bool symmetric);
Notation make_word(const Form& form, int ndim);
Notation make_function(const Form& form, std::vector<Notation> operands, int ndim);
/// Terms with a plus come first, then those with few factors, then by text.
Notation make_sum(std::vector<Notation> terms);
Notation make_product(double coefficient, std::vector<Notation> factors, int ndim);
/// The elementwise product.
Notation make_hadamard(std::vector<Notation> factors);
Notation make_kronecker(std::vector<Notation> factors, int ndim);
Notation make_fraction(Notation numerator, Notation denominator);
/// The elementwise power, the exponent positive.
Notation make_power(const Notation& base, double exponent);
Notation make_inverse(const Notation& base);
Notation make_transpose(const Notation& n);
Notation make_subscript(Notation base, const std::string& labels);

/// ‖X‖
Notation make_norm(Notation x);
/// The vector of ones, and the identity matrix.
Notation make_ones();
Notation make_identity();

/// The sign of a term, and the term without it.
std::pair<bool, Notation> split_sign(const Notation& n);

// --- Writing it ---

std::string write(const Notation& n, Style style);
/// A name in LaTeX: alpha is \alpha, loss is \mathrm{loss}, x_1 is x_{1}.
std::string latex_name(const std::string& name);
/// The shortest text that reads as the same number, or a vulgar fraction.
std::string number_text(double value, Style style);
/// The shortest decimal that reads as the same number.
std::string shortest(double value);

}  // namespace matgrad::expr
