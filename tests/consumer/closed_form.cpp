// Calls a closed form: gradients of two quadratic forms that have the same matrix.
#include <matgrad/closed_form.h>

#include <cstdio>
#include <vector>

int main() {
  const std::vector<double> A{1, 2, 3, 4}, x{1, -1, 1, 0};
  std::vector<double> gradients(4);
  matgrad::Problems<double> problems;
  problems.stack_shape = {2};
  problems.count = 2;
  problems.sizes = {2};
  problems.in[0] = {A.data(), 2, {0}};
  problems.in[1] = {x.data(), 2, {2}};
  problems.out[0] = {gradients.data(), 2, {2}};
  matgrad::closed_form::quadratic_form_gradient(problems);
  std::printf("%g %g; %g %g\n", gradients[0], gradients[1], gradients[2], gradients[3]);
}
