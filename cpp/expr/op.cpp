// The table of elementwise functions: value, derivative and printed form of each, side by side.
#include "expr/op.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <stdexcept>

#include "expr/build.h"
#include "expr/numpy_api.h"

namespace matgrad::expr {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

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
    (void)value, (void)x, (void)y;                         \
    return expression;                                     \
  }
#define FUNCTION(name) name "({0,})", "\\" name "\\left({0,}\\right)", "np." name "({0,})"
#define OPERATOR(name) "\\operatorname{" name "}\\left({0,}\\right)"

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
     {PARTIAL(guard(map("not_equal", {y, like(y, 0)})) * y * map("power", {x, y - like(y, 1)})),
      PARTIAL(guard(map("not_equal", {x, like(x, 0)})) * value * map("log", {x}))},
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
};
// clang-format on

#undef VALUE
#undef PARTIAL
#undef FUNCTION
#undef OPERATOR

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
