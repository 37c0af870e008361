// LaTeX: names of Greek letters, words and subscripts; the rest is matrix notation.
#include <algorithm>
#include <string>
#include <string_view>

#include "expr/print.h"
#include "expr/printer.h"

namespace matgrad::expr {
namespace {

constexpr std::string_view kGreek[] = {
    "alpha", "beta",  "gamma",  "delta", "epsilon", "zeta",  "eta",     "theta", "iota", "kappa", "lambda", "mu",
    "nu",    "xi",    "pi",     "rho",   "sigma",   "tau",   "upsilon", "phi",   "chi",  "psi",   "omega",  "Gamma",
    "Delta", "Theta", "Lambda", "Xi",    "Pi",      "Sigma", "Upsilon", "Phi",   "Psi",  "Omega"};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// In typewriter or roman letters, whatever they are.
std::string verbatim(const char* font, const std::string& name) {
  std::string text;
  for (char c : name) text += c == '_' ? std::string("\\_") : std::string(1, c);
  return std::string(font) + "{" + text + "}";
}

}  // namespace

std::string latex_name(const std::string& name) {
  if (name.find_first_of(".[ *") != std::string::npos) return verbatim("\\mathtt", name);
  const size_t underscore = name.find('_');
  const size_t digits = name.find_last_not_of("0123456789") + 1;
  const size_t end = underscore != std::string::npos ? underscore : digits;
  const std::string stem = name.substr(0, end);
  const std::string rest = name.substr(std::min(name.size(), underscore != std::string::npos ? end + 1 : end));
  if (stem.empty() || (underscore != std::string::npos && rest.empty())) return verbatim("\\mathrm", name);
  const bool is_greek = std::ranges::find(kGreek, stem) != std::end(kGreek);
  const std::string text = is_greek ? "\\" + stem : stem.size() > 1 ? verbatim("\\mathrm", stem) : stem;
  if (rest.empty()) return text;
  const bool plain = std::ranges::all_of(rest, is_digit) || rest.size() == 1;
  return text + "_{" + (plain ? rest : latex_name(rest)) + "}";
}

std::string to_latex(const Expr& e) {
  return write(Printer().print(e), Style::Latex);
}

}  // namespace matgrad::expr
