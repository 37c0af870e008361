// Makes notation: flattens products, pushes transposes in, orders the terms of sums.
#include "expr/notation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <tuple>
#include <utility>

namespace matgrad::expr {
namespace {

using Kind = Notation::Kind;

constexpr Form kNorm{"‖{0,}‖", "\\lVert {0,} \\rVert"};
constexpr Form kRoot{"√{0}", "\\sqrt{{0,}}"};

/// How many characters it takes to write it.
size_t width(const Notation& n) {
  const std::string text = write(n, Style::Unicode);
  return size_t(std::ranges::count_if(text, [](char c) { return (uint8_t(c) & 0xC0) != 0x80; }));
}

Notation wrap(Kind kind, const Notation& part) {
  return {.kind = kind, .ndim = part.ndim, .symmetric = part.symmetric, .parts = {part}};
}

bool is_form(const Notation& n, const Form& form) {
  return n.kind == Kind::Function && n.form.matrix == form.matrix;
}

bool is_one(const Notation& n) {
  return n.kind == Kind::Number && n.value == 1;
}

/// Parts of a matrix product, each one transposed and in reverse.
std::vector<Notation> reversed(const Parts& factors) {
  std::vector<Notation> scalars, matrices;
  for (const Notation& f : factors) {
    if (f.ndim == 0) {
      scalars.push_back(f);
    } else {
      matrices.insert(matrices.begin(), make_transpose(f));
    }
  }
  scalars.insert(scalars.end(), matrices.begin(), matrices.end());
  return scalars;
}

/// X X = X², X X X = X³ for names; for anything else from the third power on.
void collect_matrix_powers(std::vector<Notation>& factors) {
  for (size_t first = 0; first < factors.size(); ++first) {
    if (factors[first].ndim != 2) continue;
    const std::string text = write(factors[first], Style::Unicode);
    size_t last = first + 1;
    while (last < factors.size() && factors[last].ndim == 2 && write(factors[last], Style::Unicode) == text) ++last;
    const bool is_name = factors[first].kind == Kind::Symbol;
    if (last - first < (is_name ? 2u : 3u)) continue;
    const bool transposed = factors[first].kind == Kind::Transpose;
    Notation power = wrap(Kind::Power, transposed ? factors[first].parts[0] : factors[first]);
    power.value = double(last - first);
    factors[first] = transposed ? wrap(Kind::Transpose, power) : power;
    factors.erase(factors.begin() + std::ptrdiff_t(first) + 1, factors.begin() + std::ptrdiff_t(last));
  }
}

/// −(x + y) = −x − y
Notation negative(const Notation& sum) {
  std::vector<Notation> terms;
  for (const Notation& term : sum.parts) terms.push_back(make_product(-1, {term}, sum.ndim));
  Notation result = make_sum(std::move(terms));
  result.symmetric = sum.symmetric;
  return result;
}

/// By what the terms of a sum are ordered: sign, number of factors, text of the matrices, text of the scalars.
std::tuple<bool, size_t, std::string, std::string> order_of(const Notation& term) {
  const auto [negative, positive] = split_sign(term);
  const Notation& n = positive.kind == Kind::Fraction ? positive.parts[0] : positive;
  if (n.kind == Kind::Number) return {negative, 0, "", ""};
  if (n.kind != Kind::Product) return {negative, 1, write(n, Style::Unicode), write(positive, Style::Unicode)};
  size_t count = 0;
  std::string text;
  for (const Notation& part : n.parts) {
    if (part.ndim == 0 && part.kind != Kind::Subscript) continue;
    ++count;
    text += write(part, Style::Unicode) + " ";
  }
  return {negative, count, text, write(positive, Style::Unicode)};
}

/// x ⊙ x = x², for vectors.
void collect_powers(std::vector<Notation>& factors) {
  for (size_t first = 0; first < factors.size(); ++first) {
    if (factors[first].ndim != 1 || factors[first].kind == Kind::Power) continue;
    const std::string text = write(factors[first], Style::Unicode);
    const auto repeats = std::ranges::remove_if(factors.begin() + std::ptrdiff_t(first) + 1, factors.end(),
                                                [&](const Notation& f) { return write(f, Style::Unicode) == text; });
    const double exponent = 1 + double(repeats.size());
    factors.erase(repeats.begin(), repeats.end());
    factors[first] = make_power(factors[first], exponent);
  }
}

}  // namespace

struct Parts::Shared {
  std::vector<Notation> parts;
  std::vector<std::array<std::string, 2>> texts;  ///< in each style
};

Parts::Parts(std::vector<Notation> parts) : shared_(std::make_shared<Shared>()) {
  shared_->parts = std::move(parts);
  shared_->texts.resize(shared_->parts.size());
}

Parts::Parts(std::initializer_list<Notation> parts) : Parts(std::vector<Notation>(parts)) {}

const Notation* Parts::begin() const {
  return shared_ ? shared_->parts.data() : nullptr;
}
const Notation* Parts::end() const {
  return shared_ ? shared_->parts.data() + shared_->parts.size() : nullptr;
}
size_t Parts::size() const {
  return size_t(end() - begin());
}
const Notation& Parts::operator[](size_t k) const {
  return begin()[k];
}
std::string& Parts::text(size_t k, Style style) const {
  return shared_->texts[k][size_t(style)];
}

Notation make_number(double value) {
  return {.kind = Kind::Number, .value = value};
}

Notation make_symbol(const std::string& name, int ndim, bool symmetric) {
  return {.kind = Kind::Symbol, .ndim = ndim, .symmetric = symmetric, .text = name};
}

Notation make_word(const Form& form, int ndim) {
  return {.kind = Kind::Word, .ndim = ndim, .form = form};
}

Notation make_function(const Form& form, std::vector<Notation> operands, int ndim) {
  return {.kind = Kind::Function, .ndim = ndim, .form = form, .parts = std::move(operands)};
}

Notation make_norm(Notation x) {
  return make_function(kNorm, {std::move(x)}, 0);
}

Notation make_ones() {
  return make_word({"1", "\\mathbf{1}"}, 1);
}

Notation make_identity() {
  Notation n = make_word({"I", "I"}, 2);
  n.symmetric = true;
  return n;
}

Notation make_sum(std::vector<Notation> terms) {
  if (terms.size() == 1) return terms[0];
  Notation sum{.kind = Kind::Sum, .symmetric = true};
  for (const Notation& term : terms) {
    sum.ndim = std::max(sum.ndim, term.ndim);
    sum.symmetric = sum.symmetric && (term.symmetric || term.kind == Kind::Number);
  }
  std::vector<std::pair<decltype(order_of(sum)), Notation>> keyed;
  for (Notation& term : terms) keyed.emplace_back(order_of(term), std::move(term));
  std::ranges::stable_sort(keyed, {}, [](const auto& pair) { return pair.first; });
  terms.clear();
  for (auto& [key, term] : keyed) terms.push_back(std::move(term));
  sum.parts = std::move(terms);
  return sum;
}

Notation make_product(double coefficient, std::vector<Notation> factors, int ndim) {
  std::vector<Notation> scalars, matrices, chains, denominators;
  for (size_t k = 0; k < factors.size(); ++k) {
    Notation f = std::move(factors[k]);
    if (f.kind == Kind::Fraction && f.parts[1].ndim == 0) {
      denominators.push_back(f.parts[1]);
      f = Notation(f.parts[0]);
    }
    if (f.kind == Kind::Number) {
      coefficient *= f.value;
    } else if (f.kind == Kind::Product) {
      coefficient *= std::exchange(f.value, 1);
      const bool is_chain = f.ndim == 0 && std::ranges::any_of(f.parts, [](const Notation& n) { return n.ndim > 0; });
      if (is_chain) {
        chains.push_back(std::move(f));
      } else {
        for (const Notation& part : f.parts) (part.ndim == 0 ? scalars : matrices).push_back(part);
      }
    } else {
      (f.ndim == 0 ? scalars : matrices).push_back(std::move(f));
    }
  }
  if (chains.size() == 1 && matrices.empty()) {
    for (const Notation& part : chains[0].parts) (part.ndim == 0 ? scalars : matrices).push_back(part);
    chains.clear();
  }
  collect_matrix_powers(matrices);
  const bool symmetric = matrices.size() == 1 && matrices[0].symmetric;
  for (auto* more : {&chains, &matrices}) {
    for (Notation& part : *more) scalars.push_back(std::move(part));
  }
  if (coefficient == -1 && scalars.size() == 1 && denominators.empty() && scalars[0].kind == Kind::Sum) {
    return negative(scalars[0]);
  }
  Notation product{.kind = Kind::Product, .ndim = ndim, .symmetric = symmetric, .value = coefficient};
  if (scalars.empty()) {
    product = make_number(coefficient);
  } else if (scalars.size() == 1 && coefficient == 1) {
    product = std::move(scalars[0]);
  } else {
    product.parts = std::move(scalars);
  }
  if (denominators.empty()) return product;
  return make_fraction(std::move(product), make_product(1, std::move(denominators), 0));
}

Notation make_hadamard(std::vector<Notation> factors) {
  collect_powers(factors);
  if (factors.size() == 1) return factors[0];
  Notation n{.kind = Kind::Hadamard, .ndim = factors[0].ndim, .symmetric = true};
  std::vector<Notation> parts;
  for (Notation& f : factors) {
    n.symmetric = n.symmetric && f.symmetric;
    if (f.kind == Kind::Hadamard) {
      parts.insert(parts.end(), f.parts.begin(), f.parts.end());
    } else {
      parts.push_back(std::move(f));
    }
  }
  n.parts = std::move(parts);
  return n;
}

Notation make_kronecker(std::vector<Notation> factors, int ndim) {
  return {.kind = Kind::Kronecker, .ndim = ndim, .parts = std::move(factors)};
}

Notation make_fraction(Notation numerator, Notation denominator) {
  if (is_one(denominator)) return numerator;
  const int ndim = std::max(numerator.ndim, denominator.ndim);
  return {.kind = Kind::Fraction,
          .ndim = ndim,
          .symmetric = (numerator.symmetric || numerator.ndim == 0) && (denominator.symmetric || denominator.ndim == 0),
          .parts = {std::move(numerator), std::move(denominator)}};
}

Notation make_power(const Notation& base, double exponent) {
  if (exponent == 1) return base;
  if (base.kind == Kind::Number) return make_number(std::pow(base.value, exponent));
  if (base.kind == Kind::Power && is_form(base.parts[0], kNorm))
    return make_power(base.parts[0], base.value * exponent);
  if (exponent == 0.5) {
    Notation root = make_function(kRoot, {base}, base.ndim);
    root.symmetric = base.symmetric;
    return root;
  }
  if (base.ndim == 2) {
    if (exponent == 2) return make_hadamard({base, base});
    // X² is the matrix power
    Notation power = wrap(Kind::Power, base);
    power.value = exponent;
    power.text = "∘";
    return power;
  }
  Notation power = wrap(Kind::Power, base);
  power.value = exponent;
  return power;
}

Notation make_inverse(const Notation& base) {
  if (base.kind == Kind::Transpose) return wrap(Kind::InverseTranspose, base.parts[0]);
  return wrap(Kind::Inverse, base);
}

Notation make_transpose(const Notation& n) {
  if (n.ndim == 0 || (n.ndim == 2 && n.symmetric)) return n;
  switch (n.kind) {
    case Kind::Transpose:
      return n.parts[0];
    case Kind::Inverse:
      return wrap(Kind::InverseTranspose, n.parts[0]);
    case Kind::InverseTranspose:
      return wrap(Kind::Inverse, n.parts[0]);
    case Kind::Fraction:
      if (n.parts[1].ndim > 0) return wrap(Kind::Transpose, n);
      return make_fraction(make_transpose(n.parts[0]), n.parts[1]);
    case Kind::Product:
      return make_product(n.value, reversed(n.parts), n.ndim);
    case Kind::Sum:
    case Kind::Hadamard:
    case Kind::Kronecker: {
      const Notation kept = wrap(Kind::Transpose, n);
      std::vector<Notation> parts;
      for (const Notation& part : n.parts) parts.push_back(make_transpose(part));
      Notation pushed = n;
      if (n.kind == Kind::Sum) {
        pushed = make_sum(std::move(parts));
      } else {
        pushed.parts = std::move(parts);
      }
      return width(pushed) + 2 <= width(kept) || width(pushed) <= width(n) ? pushed : kept;
    }
    default:
      return wrap(Kind::Transpose, n);
  }
}

Notation make_subscript(Notation base, const std::string& labels) {
  if (labels.empty()) return base;
  return {.kind = Kind::Subscript, .text = labels, .parts = {std::move(base)}};
}

std::pair<bool, Notation> split_sign(const Notation& n) {
  const bool signed_kind = n.kind == Kind::Number || n.kind == Kind::Product;
  if (signed_kind && n.value < 0) {
    if (n.kind == Kind::Number) return {true, make_number(-n.value)};
    Notation positive = n;
    positive.value = -n.value;
    if (positive.value == 1 && positive.parts.size() == 1) return {true, positive.parts[0]};
    return {true, positive};
  }
  if (n.kind == Kind::Fraction) {
    auto [negative, numerator] = split_sign(n.parts[0]);
    if (negative) return {true, make_fraction(std::move(numerator), n.parts[1])};
  }
  return {false, n};
}

}  // namespace matgrad::expr
