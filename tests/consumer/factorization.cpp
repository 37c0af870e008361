// Builds an expression, differentiates and prints it, and evaluates it with its derivatives.
#include <matgrad/function.h>

#include <cstdio>
#include <vector>

int main() {
  using namespace matgrad;
  const Expr X = matrix("X"), U = matrix("U"), V = matrix("V");
  const Expr loss = sum(square(X - matmul(U, V)));
  const Expr gradient = loss.diff(V);
  std::printf("%s\n%s\n", gradient.to_string().c_str(), gradient.to_latex().c_str());

  const std::vector<double> x{1, 2, 3, 4, 5, 6}, u{1, 0, 1}, v{2, 1};
  const View<const double> x_(x.data(), {3, 2}), u_(u.data(), {3, 1}), v_(v.data(), {1, 2});
  const Function value_and_gradients = compile({loss, loss.diff(U), gradient}, {X, U, V});
  double value;
  std::vector<double> dU(3), dV(2);
  value_and_gradients.evaluate({x_, u_, v_}, {value, View(dU.data(), {3, 1}), View(dV.data(), {1, 2})});
  std::printf("%g; %g %g %g; %g %g\n", value, dU[0], dU[1], dU[2], dV[0], dV[1]);

  const Function hessian = compile(loss.diff({V, V}), {X, U, V});
  const Array<double> H = hessian(x_, u_, v_);
  std::printf("%g %g\n", H(0, 0, 0, 0), H(0, 0, 0, 1));
}
