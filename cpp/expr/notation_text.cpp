// Writes notation in Unicode or LaTeX: glyphs, parentheses and spaces.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string_view>

#include "expr/notation.h"

namespace matgrad::expr {
namespace {

using Kind = Notation::Kind;

/// How the pieces look in one style.
struct Glyphs {
  const char *minus, *hadamard, *kronecker, *transpose, *inverse, *inverse_transpose, *open, *close;
};

constexpr Glyphs kGlyphs[] = {
    {"−", " ⊙ ", " ⊗ ", "ᵀ", "⁻¹", "⁻ᵀ", "(", ")"},
    {"-", " \\odot ", " \\otimes ", "^\\top", "^{-1}", "^{-\\top}", "(", ")"},
};

/// Parts of a formula that are longer than that are left out, as nobody would read it.
constexpr size_t kLongest = 20000;

/// What binds tighter needs no parentheses in what binds less tightly.
enum Precedence { kSum = 1, kElementwise, kFraction, kProduct, kPostfix, kAtom };

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// Whether a text has a space outside all brackets, as infix operators have, and not only between words.
bool has_outer_space(std::string_view text) {
  int depth = 0;
  for (size_t k = 0; k < text.size(); ++k) {
    const std::string_view rest = text.substr(k);
    if (rest.starts_with("\\l") && !rest.starts_with("\\log")) ++depth;
    if (rest.starts_with("\\r")) --depth;
    const char c = text[k];
    if (c == '(' || c == '[' || c == '{') ++depth;
    if (c == ')' || c == ']' || c == '}') --depth;
    const bool in_words = k > 0 && k + 1 < text.size() && is_letter(text[k - 1]) && is_letter(text[k + 1]);
    if (c == ' ' && depth == 0 && !in_words) return true;
  }
  return false;
}

class Writer {
 public:
  explicit Writer(Style style) : style_(style), glyphs_(kGlyphs[int(style)]) {}

  std::string write(const Notation& n) const {
    switch (n.kind) {
      case Kind::Number:
        return number(n.value);
      case Kind::Symbol:
        return style_ == Style::Latex ? latex_name(n.text) : n.text;
      case Kind::Word:
        return form(n);
      case Kind::Function:
        return function(n);
      case Kind::Sum:
        return sum(n);
      case Kind::Product:
        return product(n);
      case Kind::Hadamard:
        return joined(n, glyphs_.hadamard);
      case Kind::Kronecker:
        return joined(n, glyphs_.kronecker);
      case Kind::Fraction:
        return fraction(n);
      case Kind::Power:
        return operand(n, 0, kAtom) + exponent(n);
      case Kind::Transpose:
        return operand(n, 0, kAtom) + glyphs_.transpose;
      case Kind::Inverse:
        return operand(n, 0, kAtom) + glyphs_.inverse;
      case Kind::InverseTranspose:
        return operand(n, 0, kAtom) + glyphs_.inverse_transpose;
      case Kind::Subscript:
        return subscripted(n) + subscript(n.text);
    }
    return {};
  }

 private:
  std::string form(const Notation& n) const { return style_ == Style::Latex ? n.form.latex : n.form.matrix; }

  Precedence precedence(const Notation& n) const {
    switch (n.kind) {
      case Kind::Number:
        return n.value < 0 ? kSum : kAtom;
      case Kind::Symbol:
      case Kind::Subscript:
        return kAtom;
      case Kind::Word:
        return has_outer_space(form(n)) ? kSum : kAtom;
      case Kind::Function: {
        const std::string text = form(n);
        if (text.starts_with("−") || text.starts_with("-") || has_outer_space(text)) return kSum;
        if (style_ == Style::Latex && text.find("^{") != std::string::npos) return kPostfix;
        return text.starts_with("{0}") || text.ends_with("{0}") ? kPostfix : kAtom;  // xʸ, √x
      }
      case Kind::Sum:
        return kSum;
      case Kind::Product:
        if (n.value < 0) return kSum;
        return last_may_be_open(n) ? kElementwise : kProduct;
      case Kind::Hadamard:
      case Kind::Kronecker:
        return kElementwise;
      case Kind::Fraction:
        return split_sign(n).first ? kSum : style_ == Style::Latex ? kProduct : kFraction;
      case Kind::Power:
      case Kind::Transpose:
      case Kind::Inverse:
      case Kind::InverseTranspose:
        return kPostfix;
    }
    return kAtom;
  }

  std::string parenthesised(const std::string& text) const {
    const bool tall = text.find("\\frac") != std::string::npos;
    return tall ? "\\left(" + text + "\\right)" : glyphs_.open + text + glyphs_.close;
  }

  std::string write_part(const Notation& n, size_t k) const {
    std::string& text = n.parts.text(k, style_);
    if (text.empty()) text = write(n.parts[k]);
    if (text.size() > kLongest) text = style_ == Style::Latex ? "\\dots" : "…";
    return text;
  }

  std::string operand(const Notation& n, size_t k, Precedence least) const {
    return precedence(n.parts[k]) < least ? parenthesised(write_part(n, k)) : write_part(n, k);
  }

  std::string operand(const Notation& n, Precedence least) const {
    return precedence(n) < least ? parenthesised(write(n)) : write(n);
  }

  std::string number(double value) const { return number_text(value, style_); }

  std::string exponent(const Notation& n) const {
    const std::string text = shortest(n.value);
    if (style_ == Style::Latex) return "^{" + std::string(n.text.empty() ? "" : "\\circ ") + text + "}";
    if (!n.text.empty()) return "^" + n.text + text;
    static constexpr const char* kDigits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
    if (!std::ranges::all_of(text, is_digit)) return "^" + text;
    std::string raised;
    for (char c : text) raised += kDigits[c - '0'];
    return raised;
  }

  /// What a subscript stands after; TeX has one subscript only.
  std::string subscripted(const Notation& n) const {
    const std::string text = operand(n, 0, kPostfix);
    const bool has_one = text[0] != '(' && text.find('_') != std::string::npos;
    return style_ == Style::Latex && has_one ? "{" + text + "}" : text;
  }

  std::string subscript(const std::string& labels) const {
    if (style_ == Style::Unicode) return "[" + labels + "]";
    std::string text = labels;
    std::erase(text, ',');
    const bool letters = std::ranges::all_of(text, [](char c) { return c >= 'a' && c <= 'z'; });
    return "_{" + (letters && 2 * text.size() - 1 == labels.size() ? text : labels) + "}";
  }

  std::string function(const Notation& n) const {
    const std::string text = form(n);
    std::string result;
    for (size_t k = 0; k < text.size(); ++k) {
      const bool is_slot =
          text[k] == '{' && k + 2 < text.size() && is_digit(text[k + 1]) && size_t(text[k + 1] - '0') < n.parts.size();
      if (is_slot && text[k + 2] == '}') {
        result += operand(n, size_t(text[k + 1] - '0'), kAtom);
        k += 2;
      } else if (is_slot && text.substr(k + 2, 2) == ",}") {
        result += write_part(n, size_t(text[k + 1] - '0'));
        k += 3;
      } else {
        result += text[k];
      }
    }
    return result;
  }

  std::string sum(const Notation& n) const {
    std::string result;
    for (const Notation& part : n.parts) {
      const auto [negative, term] = split_sign(part);
      if (!result.empty()) result += negative ? std::string(" ") + glyphs_.minus + " " : " + ";
      if (result.empty() && negative) result += glyphs_.minus;
      result += operand(term, kElementwise);
    }
    return result;
  }

  std::string joined(const Notation& n, const char* glyph) const {
    std::string result;
    for (size_t k = 0; k < n.parts.size(); ++k) {
      if (!result.empty()) result += glyph;
      result += operand(n, k, kFraction);
    }
    return result;
  }

  std::string fraction(const Notation& n) const {
    const auto [negative, positive] = split_sign(n);
    if (negative) return glyphs_.minus + write(positive);
    if (style_ == Style::Latex) return "\\frac{" + write_part(n, 0) + "}{" + write_part(n, 1) + "}";
    return operand(n, 0, kProduct) + "/" + operand(n, 1, kPostfix);
  }

  /// Whether only numbers and scalars stand before the last factor: 2 x ⊙ y, 2 x/y.
  bool last_may_be_open(const Notation& n) const {
    const Kind last = n.parts[n.parts.size() - 1].kind;
    if (last != Kind::Hadamard && last != Kind::Kronecker) return false;
    return std::ranges::count_if(n.parts, [](const Notation& part) { return part.ndim > 0; }) == 1;
  }

  bool ends_raised(const Notation& n) const {
    return n.kind == Kind::Transpose || n.kind == Kind::Inverse || n.kind == Kind::InverseTranspose ||
           n.kind == Kind::Power;
  }

  /// Nothing stands after a superscript or around the parentheses of a matrix, a space after all else.
  std::string product(const Notation& n) const {
    std::string result;
    if (n.value < 0) result = glyphs_.minus;
    if (std::abs(n.value) != 1) result += number(std::abs(n.value));
    const bool open_end = last_may_be_open(n);
    const Notation* before = nullptr;
    bool before_in_parentheses = false;
    for (size_t k = 0; k < n.parts.size(); ++k) {
      const Notation& part = n.parts[k];
      const bool last = k + 1 == n.parts.size();
      const Precedence least = last && open_end                       ? kElementwise
                               : part.ndim == 0 && n.parts.size() > 1 ? kPostfix
                                                                      : kProduct;
      // a closed chain keeps its parentheses beside other factors
      const bool in_parentheses =
          precedence(part) < least || (part.kind == Kind::Product && (part.ndim == 0 || part.value != 1));
      const std::string text = in_parentheses ? parenthesised(write_part(n, k)) : write_part(n, k);
      if (before == nullptr) {
        const bool one = std::abs(n.value) != 1 && is_digit(text[0]);
        if (std::abs(n.value) != 1) result += one ? " · " : " ";
      } else {
        const bool is_call = !in_parentheses && part.kind == Kind::Function;
        const bool tight = style_ == Style::Unicode && before->ndim > 0 &&
                           (text[0] == '(' || before_in_parentheses || ends_raised(*before)) && !is_call;
        if (!tight) result += " ";
      }
      result += text;
      before = &part;
      before_in_parentheses = in_parentheses;
    }
    return result;
  }

  Style style_;
  const Glyphs& glyphs_;
};

}  // namespace

std::string write(const Notation& n, Style style) {
  return Writer(style).write(n);
}

std::string shortest(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  return {text.data(), end};
}

std::string number_text(double value, Style style) {
  struct Vulgar {
    int over, under;
    const char* glyph;
  };
  static constexpr Vulgar kVulgar[] = {{1, 2, "½"}, {1, 3, "⅓"}, {2, 3, "⅔"}, {1, 4, "¼"}, {3, 4, "¾"}};
  const std::string sign = std::signbit(value) ? (style == Style::Latex ? "-" : "−") : "";
  const double size = std::abs(value);
  for (const Vulgar& v : kVulgar) {
    if (size != double(v.over) / v.under) continue;
    if (style == Style::Unicode) return sign + v.glyph;
    return sign + "\\frac{" + std::to_string(v.over) + "}{" + std::to_string(v.under) + "}";
  }
  if (std::isinf(value)) return sign + (style == Style::Latex ? "\\infty" : "∞");
  const std::string text = shortest(size);
  const size_t e = text.find('e');
  if (e == std::string::npos) return sign + text;
  if (style == Style::Unicode) return sign + text;
  return sign + text.substr(0, e) + " \\cdot 10^{" + std::to_string(std::stoi(text.substr(e + 1))) + "}";
}

}  // namespace matgrad::expr
