// The table of elementwise functions: value, derivative and printed form of each, side by side.
#include "expr/op.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <stdexcept>

#include "expr/build.h"
#include "expr/numpy_api.h"
#include "expr/special.h"

namespace matgrad::expr {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kNormalDensity = std::numbers::inv_sqrtpi / std::numbers::sqrt2;  // at 0: 1/√(2π)
constexpr double kPiSquare = std::numbers::pi * std::numbers::pi;

/// c, as a tensor with the axes of x.
Expr like(const Expr& x, double c) {
  return full(c, x->lengths);
}

/// 1 where x is not zero, else 0.
Expr truth(const Expr& x) {
  return numpy_api::is_condition(x) ? x : map("not_equal", {x, like(x, 0)});
}

// --- Values without a function of their own in <cmath> ---

double sign(double x) {
  return std::isnan(x) ? x : double(x > 0) - double(x < 0);
}
double sigmoid(double x) {
  return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
}
double softplus(double x) {
  return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}
double maximum(double x, double y) {
  return std::isnan(x) || std::isnan(y) ? kNaN : std::max(x, y);
}
double minimum(double x, double y) {
  return std::isnan(x) || std::isnan(y) ? kNaN : std::min(x, y);
}
double logaddexp(double x, double y) {
  return x == y ? x + std::numbers::ln2 : maximum(x, y) + std::log1p(std::exp(-std::abs(x - y)));
}

/// The quotient rounded down, as NumPy computes it.
double floor_divide(double x, double y) {
  if (y == 0) return x / y;
  const double rest = std::fmod(x, y);
  const double quotient = (x - rest) / y - double(rest != 0 && (rest < 0) != (y < 0));
  if (quotient == 0) return std::copysign(0.0, x / y);
  const double floor = std::floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}
/// What remains of x, with the sign of y, as NumPy computes it.
double remainder(double x, double y) {
  const double rest = std::fmod(x, y);
  if (rest == 0) return std::copysign(0.0, y);
  return (rest < 0) != (y < 0) ? rest + y : rest;
}
double xlogy(double x, double y) {
  return x == 0 && !std::isnan(y) ? 0 : x * std::log(y);
}
double xlog1py(double x, double y) {
  return x == 0 && !std::isnan(y) ? 0 : x * std::log1p(y);
}
double entr(double x) {
  return x < 0 ? -std::numeric_limits<double>::infinity() : x == 0 ? 0 : -x * std::log(x);
}
/// log(x/(1 − x)), which near its zero is 2 arctanh(2x − 1).
double logit(double x) {
  return std::abs(x - 0.5) < 0.25 ? 2 * std::atanh(2 * x - 1) : std::log(x / (1 - x));
}
/// sin(πx)/(πx), with x reduced before it is multiplied, so that it is right near its zeros.
double sinc(double x) {
  const double nearest = std::nearbyint(x), sine = std::sin(std::numbers::pi * (x - nearest));
  return x == 0 ? 1 : (std::fmod(nearest, 2) == 0 ? sine : -sine) / (std::numbers::pi * x);
}

// --- What derivatives have in common ---

/// The derivative by an operand by which it isn't known.
template <int operand>
Expr unknown(const Expr& value, Operands) {
  constexpr const char* kOrdinals[] = {"first", "second", "third"};
  throw NotDifferentiable(std::string("the derivative of ") + value->as<Map>()->op->name + " by its " +
                          kOrdinals[operand] + " argument is not supported");
}

Expr exp(const Expr& x) {
  return map("exp", {x});
}
Expr psi(const Expr& x) {
  return map("psi", {x});
}
/// f(v − 1, x) + sign f(v + 1, x) of a Bessel function f of order v.
Expr neighbours(const char* f, const Expr& v, double sign, const Expr& x) {
  return map(f, {v - like(v, 1), x}) + sign * map(f, {v + like(v, 1), x});
}
/// log of the derivative of the regularized incomplete gamma function of order a: x^(a−1) e⁻ˣ / Γ(a).
Expr log_gamma_density(const Expr& a, const Expr& x) {
  return map("xlogy", {a - like(a, 1), x}) - x - map("gammaln", {a});
}
/// The same of the regularized incomplete beta function: x^(a−1) (1 − x)^(b−1) / B(a, b).
Expr log_beta_density(const Expr& a, const Expr& b, const Expr& x) {
  return map("xlogy", {a - like(a, 1), x}) + map("xlog1py", {b - like(b, 1), -x}) - map("betaln", {a, b});
}
/// The density of Student's distribution with n degrees of freedom.
Expr student_density(const Expr& n, const Expr& t) {
  const Expr square = power(t, 2) * power(n, -1);
  return exp(-0.5 * map("log", {n}) - map("betaln", {0.5 * n, like(n, 0.5)}) -
             0.5 * (map("xlog1py", {n + like(n, 1), square})));
}

// --- Derivatives; where NumPy's name says it, the source is any table of derivatives ---

#define VALUE(expression)                      \
  [](double x, double y, double z) -> double { \
    (void)x, (void)y, (void)z;                 \
    return expression;                         \
  }
#define PARTIAL(expression)                                \
  [](const Expr& value, Operands operands) -> Expr {       \
    const Expr& x = operands[0];                           \
    const Expr& y = operands[operands.size() > 1 ? 1 : 0]; \
    const Expr& z = operands[operands.size() > 2 ? 2 : 0]; \
    (void)value, (void)x, (void)y, (void)z;                \
    return expression;                                     \
  }
#define FUNCTION(name) name "({0,})", "\\" name "\\left({0,}\\right)", "np." name "({0,})"
#define OPERATOR(name) "\\operatorname{" name "}\\left({0,}\\right)"
#define OPERATOR2(name) "\\operatorname{" name "}\\left({0,}, {1,}\\right)"
#define SCIPY(name) "scipy.special." name "({0,})"
#define SCIPY2(name) "scipy.special." name "({0,}, {1,})"
#define SCIPY3(name) "scipy.special." name "({0,}, {1,}, {2,})"
#define SPECIAL(name) name "({0,})", OPERATOR(name), SCIPY(name)
#define SPECIAL2(name) name "({0,}, {1,})", OPERATOR2(name), SCIPY2(name)
#define BESSEL(name, latex, index) name "({0,})", latex "_{" index "}\\left({0,}\\right)", SCIPY(name)
#define BESSEL2(name, latex) name "({0,}, {1,})", latex "_{{0,}}\\left({1,}\\right)", SCIPY2(name)
#define SUPPLIED nullptr

// clang-format off: one row each
const Op kOps[] = {
    {"absolute", 1, VALUE(std::abs(x)), {PARTIAL(map("sign", {x}))}, "|{0,}|", "\\left|{0,}\\right|", "np.abs({0,})", Op::Nonnegative, Op::Even},
    {"sign", 1, VALUE(sign(x)), {}, "sign({0,})", OPERATOR("sign"), "np.sign({0,})", Op::Any, Op::Odd},
    {"floor", 1, VALUE(std::floor(x)), {}, "⌊{0,}⌋", "\\left\\lfloor {0,} \\right\\rfloor", "np.floor({0,})"},
    {"ceil", 1, VALUE(std::ceil(x)), {}, "⌈{0,}⌉", "\\left\\lceil {0,} \\right\\rceil", "np.ceil({0,})"},
    {"rint", 1, VALUE(std::nearbyint(x)), {}, "round({0,})", OPERATOR("round"), "np.rint({0,})", Op::Any, Op::Odd},
    {"trunc", 1, VALUE(std::trunc(x)), {}, "trunc({0,})", OPERATOR("trunc"), "np.trunc({0,})", Op::Any, Op::Odd},
    {"exp", 1, VALUE(std::exp(x)), {PARTIAL(value)}, FUNCTION("exp"), Op::Nonnegative},
    {"exp2", 1, VALUE(std::exp2(x)), {PARTIAL(std::numbers::ln2 * value)}, "exp2({0,})", "2^{{0,}}", "np.exp2({0,})", Op::Nonnegative},
    {"expm1", 1, VALUE(std::expm1(x)), {PARTIAL(map("exp", {x}))}, "expm1({0,})", OPERATOR("expm1"), "np.expm1({0,})"},
    {"log", 1, VALUE(std::log(x)), {PARTIAL(power(x, -1))}, FUNCTION("log")},
    {"log2", 1, VALUE(std::log2(x)), {PARTIAL((1 / std::numbers::ln2) * power(x, -1))}, "log2({0,})", "\\log_2\\left({0,}\\right)", "np.log2({0,})"},
    {"log10", 1, VALUE(std::log10(x)), {PARTIAL((1 / std::numbers::ln10) * power(x, -1))}, "log10({0,})", "\\log_{10}\\left({0,}\\right)", "np.log10({0,})"},
    {"log1p", 1, VALUE(std::log1p(x)), {PARTIAL(power(like(x, 1) + x, -1))}, "log1p({0,})", OPERATOR("log1p"), "np.log1p({0,})"},
    {"cbrt", 1, VALUE(std::cbrt(x)), {PARTIAL((1.0 / 3) * power(value, -2))}, "∛({0,})", "\\sqrt[3]{{0,}}", "np.cbrt({0,})", Op::Any, Op::Odd},
    {"sin", 1, VALUE(std::sin(x)), {PARTIAL(map("cos", {x}))}, FUNCTION("sin"), Op::Any, Op::Odd},
    {"cos", 1, VALUE(std::cos(x)), {PARTIAL(-map("sin", {x}))}, FUNCTION("cos"), Op::Any, Op::Even},
    {"tan", 1, VALUE(std::tan(x)), {PARTIAL(like(x, 1) + power(value, 2))}, FUNCTION("tan"), Op::Any, Op::Odd},
    {"arcsin", 1, VALUE(std::asin(x)), {PARTIAL(power(like(x, 1) - power(x, 2), -0.5))}, FUNCTION("arcsin"), Op::Any, Op::Odd},
    {"arccos", 1, VALUE(std::acos(x)), {PARTIAL(-power(like(x, 1) - power(x, 2), -0.5))}, FUNCTION("arccos"), Op::Nonnegative},
    {"arctan", 1, VALUE(std::atan(x)), {PARTIAL(power(like(x, 1) + power(x, 2), -1))}, FUNCTION("arctan"), Op::Any, Op::Odd},
    {"sinh", 1, VALUE(std::sinh(x)), {PARTIAL(map("cosh", {x}))}, FUNCTION("sinh"), Op::Any, Op::Odd},
    {"cosh", 1, VALUE(std::cosh(x)), {PARTIAL(map("sinh", {x}))}, FUNCTION("cosh"), Op::Nonnegative, Op::Even},
    {"tanh", 1, VALUE(std::tanh(x)), {PARTIAL(like(x, 1) - power(value, 2))}, FUNCTION("tanh"), Op::Any, Op::Odd},
    {"arcsinh", 1, VALUE(std::asinh(x)), {PARTIAL(power(like(x, 1) + power(x, 2), -0.5))}, "arcsinh({0,})", OPERATOR("arcsinh"), "np.arcsinh({0,})", Op::Any, Op::Odd},
    // two factors: x² − 1 loses digits near 1, and overflows
    {"arccosh", 1, VALUE(std::acosh(x)), {PARTIAL(power(x - like(x, 1), -0.5) * power(x + like(x, 1), -0.5))}, "arccosh({0,})", OPERATOR("arccosh"), "np.arccosh({0,})", Op::Nonnegative},
    {"arctanh", 1, VALUE(std::atanh(x)), {PARTIAL(power(like(x, 1) - power(x, 2), -1))}, "arctanh({0,})", OPERATOR("arctanh"), "np.arctanh({0,})", Op::Any, Op::Odd},
    {"sigmoid", 1, VALUE(sigmoid(x)), {PARTIAL(value * map("sigmoid", {-x}))}, "σ({0,})", "\\sigma\\left({0,}\\right)", "1 / (1 + np.exp(-{0}))", Op::Nonnegative},
    {"softplus", 1, VALUE(softplus(x)), {PARTIAL(map("sigmoid", {x}))}, "softplus({0,})", OPERATOR("softplus"), "np.logaddexp(0, {0,})", Op::Nonnegative},
    {"relu", 1, VALUE(maximum(x, 0)), {PARTIAL(map("greater", {x, like(x, 0)}))}, "relu({0,})", OPERATOR("relu"), "np.maximum({0,}, 0)", Op::Nonnegative},
    {"logical_not", 1, VALUE(double(x == 0)), {}, "¬{0}", "\\lnot {0}", "np.logical_not({0,})", Op::Indicator},
    // 0^y is constant in y > 0, and x^0 in x
    {"power", 2, VALUE(std::pow(x, y)),
     {PARTIAL(guarded(map("not_equal", {y, like(y, 0)}), y * map("power", {x, y - like(y, 1)}))),
      PARTIAL(guarded(map("not_equal", {x, like(x, 0)}), value * map("log", {x})))},
     "{0}^{1}", "{{0}}^{{1,}}", "{0} ** {1}"},
    {"arctan2", 2, VALUE(std::atan2(x, y)),
     {PARTIAL(y * power(power(x, 2) + power(y, 2), -1)), PARTIAL(-(x * power(power(x, 2) + power(y, 2), -1)))},
     "arctan2({0,}, {1,})", "\\operatorname{arctan2}\\left({0,}, {1,}\\right)", "np.arctan2({0,}, {1,})"},
    {"hypot", 2, VALUE(std::hypot(x, y)),
     {PARTIAL(x * guard(value) * power(value, -2)), PARTIAL(y * guard(value) * power(value, -2))},
     "hypot({0,}, {1,})", "\\operatorname{hypot}\\left({0,}, {1,}\\right)", "np.hypot({0,}, {1,})", Op::Nonnegative},
    {"maximum", 2, VALUE(maximum(x, y)),
     {PARTIAL(map("greater", {x, y}) + 0.5 * map("equal", {x, y})), PARTIAL(map("greater", {y, x}) + 0.5 * map("equal", {x, y}))},
     "max({0,}, {1,})", "\\max\\left({0,}, {1,}\\right)", "np.maximum({0,}, {1,})"},
    {"minimum", 2, VALUE(minimum(x, y)),
     {PARTIAL(map("greater", {y, x}) + 0.5 * map("equal", {x, y})), PARTIAL(map("greater", {x, y}) + 0.5 * map("equal", {x, y}))},
     "min({0,}, {1,})", "\\min\\left({0,}, {1,}\\right)", "np.minimum({0,}, {1,})"},
    {"logaddexp", 2, VALUE(logaddexp(x, y)), {PARTIAL(map("sigmoid", {x - y})), PARTIAL(map("sigmoid", {y - x}))},
     "logaddexp({0,}, {1,})", "\\operatorname{logaddexp}\\left({0,}, {1,}\\right)", "np.logaddexp({0,}, {1,})"},
    {"greater", 2, VALUE(double(x > y)), {}, "[{0,} > {1,}]", "\\left[{0,} > {1,}\\right]", "({0} > {1})", Op::Indicator},
    {"greater_equal", 2, VALUE(double(x >= y)), {}, "[{0,} ≥ {1,}]", "\\left[{0,} \\ge {1,}\\right]", "({0} >= {1})", Op::Indicator},
    {"equal", 2, VALUE(double(x == y)), {}, "[{0,} = {1,}]", "\\left[{0,} = {1,}\\right]", "({0} == {1})", Op::Indicator},
    {"not_equal", 2, VALUE(double(x != y)), {}, "[{0,} ≠ {1,}]", "\\left[{0,} \\ne {1,}\\right]", "({0} != {1})", Op::Indicator},
    {"where", 3, VALUE(x != 0 ? y : z), {nullptr, PARTIAL(guard(truth(x))), PARTIAL(guard(map("logical_not", {x})))},
     "where({0,}, {1,}, {2,})", "\\operatorname{where}\\left({0,}, {1,}, {2,}\\right)", "np.where({0,}, {1,}, {2,})"},
    {"floor_divide", 2, VALUE(floor_divide(x, y)), {}, "floor_divide({0,}, {1,})", "\\left\\lfloor {0} / {1} \\right\\rfloor", "np.floor_divide({0,}, {1,})"},
    {"remainder", 2, VALUE(remainder(x, y)), {PARTIAL(like(x, 1)), PARTIAL(-map("floor_divide", {x, y}))}, "mod({0,}, {1,})", OPERATOR2("mod"), "np.remainder({0,}, {1,})"},
    {"fmod", 2, VALUE(std::fmod(x, y)), {PARTIAL(like(x, 1)), PARTIAL(-map("rint", {(x - value) * power(y, -1)}))}, "fmod({0,}, {1,})", OPERATOR2("fmod"), "np.fmod({0,}, {1,})"},
    {"copysign", 2, VALUE(std::copysign(x, y)), {PARTIAL(map("sign", {x}) * map("copysign", {like(x, 1), y}))}, "copysign({0,}, {1,})", OPERATOR2("copysign"), "np.copysign({0,}, {1,})"},

    // Derivatives of special functions: DLMF, the NIST Digital Library of Mathematical Functions. Where it is a
    // difference that cancels, it's another special function instead.
    {"gammaln", 1, SUPPLIED, {PARTIAL(psi(x))}, "gammaln({0,})", "\\log\\left|\\Gamma\\left({0,}\\right)\\right|", SCIPY("gammaln")},
    {"loggamma", 1, SUPPLIED, {PARTIAL(psi(x))}, "loggamma({0,})", "\\log\\Gamma\\left({0,}\\right)", SCIPY("loggamma")},
    {"gamma", 1, SUPPLIED, {PARTIAL(value * psi(x))}, "Γ({0,})", "\\Gamma\\left({0,}\\right)", SCIPY("gamma")},
    {"rgamma", 1, SUPPLIED, {PARTIAL(-(value * psi(x)))}, "rgamma({0,})", OPERATOR("rgamma"), SCIPY("rgamma")},
    {"gammasgn", 1, SUPPLIED, {}, SPECIAL("gammasgn")},
    {"psi", 1, SUPPLIED, {PARTIAL(map("polygamma", {like(x, 1), x}))}, "ψ({0,})", "\\psi\\left({0,}\\right)", SCIPY("psi")},
    {"polygamma", 2, VALUE(polygamma(x, y)), {unknown<0>, PARTIAL(map("polygamma", {x + like(x, 1), y}))}, "polygamma({0,}, {1,})", "\\psi^{\\left({0,}\\right)}\\left({1,}\\right)", SCIPY2("polygamma")},
    {"zeta", 2, VALUE(hurwitz_zeta(x, y)), {unknown<0>, PARTIAL(-(x * map("zeta", {x + like(x, 1), y})))}, "ζ({0,}, {1,})", "\\zeta\\left({0,}, {1,}\\right)", SCIPY2("zeta")},
    {"beta", 2, SUPPLIED, {PARTIAL(value * (psi(x) - psi(x + y))), PARTIAL(value * (psi(y) - psi(x + y)))}, "beta({0,}, {1,})", "\\mathrm{B}\\left({0,}, {1,}\\right)", SCIPY2("beta")},
    {"betaln", 2, SUPPLIED, {PARTIAL(psi(x) - psi(x + y)), PARTIAL(psi(y) - psi(x + y))}, "betaln({0,}, {1,})", "\\log \\mathrm{B}\\left({0,}, {1,}\\right)", SCIPY2("betaln")},
    {"binom", 2, SUPPLIED, {PARTIAL(value * (psi(x + like(x, 1)) - psi(x - y + like(x, 1)))), PARTIAL(value * (psi(x - y + like(x, 1)) - psi(y + like(y, 1))))}, "binom({0,}, {1,})", "\\binom{{0,}}{{1,}}", SCIPY2("binom")},
    {"poch", 2, SUPPLIED, {PARTIAL(value * (psi(x + y) - psi(x))), PARTIAL(value * psi(x + y))}, SPECIAL2("poch")},
    {"gammainc", 2, SUPPLIED, {unknown<0>, PARTIAL(exp(log_gamma_density(x, y)))}, "gammainc({0,}, {1,})", "P\\left({0,}, {1,}\\right)", SCIPY2("gammainc"), Op::Nonnegative},
    {"gammaincc", 2, SUPPLIED, {unknown<0>, PARTIAL(-exp(log_gamma_density(x, y)))}, "gammaincc({0,}, {1,})", "Q\\left({0,}, {1,}\\right)", SCIPY2("gammaincc"), Op::Nonnegative},
    {"gammaincinv", 2, SUPPLIED, {unknown<0>, PARTIAL(exp(-log_gamma_density(x, value)))}, SPECIAL2("gammaincinv"), Op::Nonnegative},
    {"gammainccinv", 2, SUPPLIED, {unknown<0>, PARTIAL(-exp(-log_gamma_density(x, value)))}, SPECIAL2("gammainccinv"), Op::Nonnegative},
    {"betainc", 3, SUPPLIED, {unknown<0>, unknown<1>, PARTIAL(exp(log_beta_density(x, y, z)))}, "betainc({0,}, {1,}, {2,})", "I_{{2,}}\\left({0,}, {1,}\\right)", SCIPY3("betainc"), Op::Nonnegative},
    {"betaincc", 3, SUPPLIED, {unknown<0>, unknown<1>, PARTIAL(-exp(log_beta_density(x, y, z)))}, "betaincc({0,}, {1,}, {2,})", "\\operatorname{betaincc}\\left({0,}, {1,}, {2,}\\right)", SCIPY3("betaincc"), Op::Nonnegative},
    {"betaincinv", 3, SUPPLIED, {unknown<0>, unknown<1>, PARTIAL(exp(-log_beta_density(x, y, value)))}, "betaincinv({0,}, {1,}, {2,})", "\\operatorname{betaincinv}\\left({0,}, {1,}, {2,}\\right)", SCIPY3("betaincinv"), Op::Nonnegative},
    {"stdtr", 2, SUPPLIED, {unknown<0>, PARTIAL(student_density(x, y))}, SPECIAL2("stdtr"), Op::Nonnegative},

    {"erf", 1, SUPPLIED, {PARTIAL(2 * std::numbers::inv_sqrtpi * exp(-power(x, 2)))}, SPECIAL("erf"), Op::Any, Op::Odd},
    {"erfc", 1, SUPPLIED, {PARTIAL(-2 * std::numbers::inv_sqrtpi * exp(-power(x, 2)))}, SPECIAL("erfc"), Op::Nonnegative},
    {"erfcx", 1, SUPPLIED, {PARTIAL(2 * (x * value) - like(x, 2 * std::numbers::inv_sqrtpi))}, SPECIAL("erfcx"), Op::Nonnegative},
    {"erfi", 1, SUPPLIED, {PARTIAL(2 * std::numbers::inv_sqrtpi * exp(power(x, 2)))}, SPECIAL("erfi"), Op::Any, Op::Odd},
    {"dawsn", 1, SUPPLIED, {PARTIAL(like(x, 1) - 2 * (x * value))}, SPECIAL("dawsn"), Op::Any, Op::Odd},
    {"erfinv", 1, SUPPLIED, {PARTIAL(0.5 / std::numbers::inv_sqrtpi * exp(power(value, 2)))}, SPECIAL("erfinv"), Op::Any, Op::Odd},
    {"erfcinv", 1, SUPPLIED, {PARTIAL(-0.5 / std::numbers::inv_sqrtpi * exp(power(value, 2)))}, SPECIAL("erfcinv")},
    {"ndtr", 1, SUPPLIED, {PARTIAL(kNormalDensity * exp(-0.5 * power(x, 2)))}, "Φ({0,})", "\\Phi\\left({0,}\\right)", SCIPY("ndtr"), Op::Nonnegative},
    // φ(x)/Φ(x), which neither overflows nor cancels
    {"log_ndtr", 1, SUPPLIED, {PARTIAL(2 * kNormalDensity * power(map("erfcx", {-std::numbers::sqrt2 / 2 * x}), -1))}, "log_ndtr({0,})", "\\log\\Phi\\left({0,}\\right)", SCIPY("log_ndtr")},
    {"ndtri", 1, SUPPLIED, {PARTIAL(1 / kNormalDensity * exp(0.5 * power(value, 2)))}, "Φ⁻¹({0,})", "\\Phi^{-1}\\left({0,}\\right)", SCIPY("ndtri")},
    {"ndtri_exp", 1, SUPPLIED, {PARTIAL(0.5 / kNormalDensity * map("erfcx", {-std::numbers::sqrt2 / 2 * value}))}, "ndtri_exp({0,})", OPERATOR("ndtri\\_exp"), SCIPY("ndtri_exp")},
    {"expi", 1, SUPPLIED, {PARTIAL(exp(x) * power(x, -1))}, "expi({0,})", OPERATOR("Ei"), SCIPY("expi")},
    {"exp1", 1, SUPPLIED, {PARTIAL(-(exp(-x) * power(x, -1)))}, "exp1({0,})", "E_1\\left({0,}\\right)", SCIPY("exp1")},

    {"logit", 1, VALUE(logit(x)), {PARTIAL(power(x, -1) * power(like(x, 1) - x, -1))}, SPECIAL("logit")},
    {"entr", 1, VALUE(entr(x)), {PARTIAL(-(map("log", {x}) + like(x, 1)))}, SPECIAL("entr")},
    // 0 log 0 = 0; its derivative by y is 0 there, that by x is log 0
    {"xlogy", 2, VALUE(xlogy(x, y)), {PARTIAL(map("log", {y})), PARTIAL(x * guard(truth(x)) * power(y, -1))}, "xlogy({0,}, {1,})", OPERATOR2("xlogy"), SCIPY2("xlogy")},
    {"xlog1py", 2, VALUE(xlog1py(x, y)), {PARTIAL(map("log1p", {y})), PARTIAL(x * guard(truth(x)) * power(like(y, 1) + y, -1))}, "xlog1py({0,}, {1,})", OPERATOR2("xlog1py"), SCIPY2("xlog1py")},
    {"rel_entr", 2, SUPPLIED, {PARTIAL(map("log", {x * power(y, -1)}) + like(x, 1)), PARTIAL(-(x * guard(truth(x)) * power(y, -1)))}, "rel_entr({0,}, {1,})", OPERATOR2("rel\\_entr"), SCIPY2("rel_entr")},
    {"kl_div", 2, SUPPLIED, {PARTIAL(map("log", {x * power(y, -1)})), PARTIAL(like(x, 1) - x * guard(truth(x)) * power(y, -1))}, "kl_div({0,}, {1,})", OPERATOR2("kl\\_div"), SCIPY2("kl_div"), Op::Nonnegative},
    {"exp10", 1, SUPPLIED, {PARTIAL(std::numbers::ln10 * value)}, "exp10({0,})", "10^{{0,}}", SCIPY("exp10"), Op::Nonnegative},
    {"exprel", 1, SUPPLIED, {PARTIAL(0.5 * map("hyp1f1", {like(x, 2), like(x, 3), x}))}, SPECIAL("exprel"), Op::Nonnegative},
    // sinc x = ₀F₁(3/2, −(πx)²/4)
    {"sinc", 1, VALUE(sinc(x)), {PARTIAL(-kPiSquare / 3 * (x * map("hyp0f1", {like(x, 2.5), -kPiSquare / 4 * power(x, 2)})))}, "sinc({0,})", OPERATOR("sinc"), "np.sinc({0,})", Op::Any, Op::Even},
    {"hyp0f1", 2, SUPPLIED, {unknown<0>, PARTIAL(power(x, -1) * map("hyp0f1", {x + like(x, 1), y}))}, "hyp0f1({0,}, {1,})", "{}_0F_1\\left({0,}; {1,}\\right)", SCIPY2("hyp0f1")},
    {"hyp1f1", 3, SUPPLIED, {unknown<0>, unknown<1>, PARTIAL(x * power(y, -1) * map("hyp1f1", {x + like(x, 1), y + like(y, 1), z}))}, "hyp1f1({0,}, {1,}, {2,})", "{}_1F_1\\left({0,}; {1,}; {2,}\\right)", SCIPY3("hyp1f1")},

    {"j0", 1, SUPPLIED, {PARTIAL(-map("j1", {x}))}, BESSEL("j0", "J", "0"), Op::Any, Op::Even},
    {"j1", 1, SUPPLIED, {PARTIAL(0.5 * (map("j0", {x}) - map("jv", {like(x, 2), x})))}, BESSEL("j1", "J", "1"), Op::Any, Op::Odd},
    {"jv", 2, SUPPLIED, {unknown<0>, PARTIAL(0.5 * neighbours("jv", x, -1, y))}, BESSEL2("jv", "J")},
    {"y0", 1, SUPPLIED, {PARTIAL(-map("y1", {x}))}, BESSEL("y0", "Y", "0")},
    {"y1", 1, SUPPLIED, {PARTIAL(0.5 * (map("y0", {x}) - map("yv", {like(x, 2), x})))}, BESSEL("y1", "Y", "1")},
    {"yv", 2, SUPPLIED, {unknown<0>, PARTIAL(0.5 * neighbours("yv", x, -1, y))}, BESSEL2("yv", "Y")},
    {"i0", 1, SUPPLIED, {PARTIAL(map("i1", {x}))}, BESSEL("i0", "I", "0"), Op::Nonnegative, Op::Even},
    {"i1", 1, SUPPLIED, {PARTIAL(0.5 * (map("i0", {x}) + map("iv", {like(x, 2), x})))}, BESSEL("i1", "I", "1"), Op::Any, Op::Odd},
    {"iv", 2, SUPPLIED, {unknown<0>, PARTIAL(0.5 * neighbours("iv", x, 1, y))}, BESSEL2("iv", "I")},
    {"k0", 1, SUPPLIED, {PARTIAL(-map("k1", {x}))}, BESSEL("k0", "K", "0"), Op::Nonnegative},
    {"k1", 1, SUPPLIED, {PARTIAL(-0.5 * (map("k0", {x}) + map("kv", {like(x, 2), x})))}, BESSEL("k1", "K", "1"), Op::Nonnegative},
    {"kv", 2, SUPPLIED, {unknown<0>, PARTIAL(-0.5 * neighbours("kv", x, 1, y))}, BESSEL2("kv", "K"), Op::Nonnegative},
    // times e^−|x| or eˣ
    {"i0e", 1, SUPPLIED, {PARTIAL(map("i1e", {x}) - map("sign", {x}) * value)}, SPECIAL("i0e"), Op::Nonnegative, Op::Even},
    {"i1e", 1, SUPPLIED, {PARTIAL(0.5 * (map("i0e", {x}) + map("ive", {like(x, 2), x})) - map("sign", {x}) * value)}, SPECIAL("i1e"), Op::Any, Op::Odd},
    {"ive", 2, SUPPLIED, {unknown<0>, PARTIAL(0.5 * neighbours("ive", x, 1, y) - map("sign", {y}) * value)}, SPECIAL2("ive")},
    {"k0e", 1, SUPPLIED, {PARTIAL(value - map("k1e", {x}))}, SPECIAL("k0e"), Op::Nonnegative},
    {"k1e", 1, SUPPLIED, {PARTIAL(value - 0.5 * (map("k0e", {x}) + map("kve", {like(x, 2), x})))}, SPECIAL("k1e"), Op::Nonnegative},
    {"kve", 2, SUPPLIED, {unknown<0>, PARTIAL(value - 0.5 * neighbours("kve", x, 1, y))}, SPECIAL2("kve"), Op::Nonnegative},
};
// clang-format on

#undef VALUE
#undef PARTIAL
#undef FUNCTION
#undef OPERATOR
#undef OPERATOR2
#undef SCIPY
#undef SCIPY2
#undef SCIPY3
#undef SPECIAL
#undef SPECIAL2
#undef BESSEL
#undef BESSEL2
#undef SUPPLIED

}  // namespace

std::span<const Op> ops() {
  return kOps;
}

const Op& op(std::string_view name) {
  const auto found = std::ranges::find(kOps, name, [](const Op& op) { return std::string_view(op.name); });
  if (found == std::end(kOps)) throw std::invalid_argument("there is no elementwise function " + std::string(name));
  return *found;
}

}  // namespace matgrad::expr
