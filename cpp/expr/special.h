// Values of special functions: those that are supplied from outside, and those that are computed here.
#pragma once

#include "expr/op.h"

namespace matgrad::expr {

/// Where a value comes from that is supplied from outside, by the number of operands. The last argument is 0: functions
/// that Cython exports have it.
union Supplied {
  void (*none)();
  double (*one)(double x, int);
  double (*two)(double x, double y, int);
  double (*three)(double x, double y, double z, int);
};

/// Supplies an operation's value, for good.
void supply(const Op& op, Supplied value);
/// What was supplied; of none, null.
Supplied supplied(const Op& op);

/// Whether an operation has a value, be it of its own or supplied.
inline bool has_value(const Op& op) {
  return op.value != nullptr || supplied(op).none != nullptr;
}

/// Calls use(f) for the value f(x, y, z) of an operation that has one.
template <class Use>
auto with_value(const Op& op, const Use& use) {
  if (op.value != nullptr) return use(op.value);
  const Supplied f = supplied(op);
  if (op.arity == 1) return use([f](double x, double, double) { return f.one(x, 0); });
  if (op.arity == 2) return use([f](double x, double y, double) { return f.two(x, y, 0); });
  return use([f](double x, double y, double z) { return f.three(x, y, z, 0); });
}

/// Hurwitz's zeta function Σ (q + k)^−s over k ≥ 0, of s > 1.
double hurwitz_zeta(double s, double q);
/// The derivative of ψ(x) of order n, an integer ≥ 1.
double polygamma(double n, double x);

}  // namespace matgrad::expr
