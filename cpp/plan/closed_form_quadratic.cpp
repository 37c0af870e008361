// Closed forms of functions quadratic in a vector.
#include "kernels/dispatch.h"
#include "matgrad/closed_form.h"

namespace matgrad::closed_form {

template <class T>
void quadratic_form_gradient(const Problems<T>& problems) {
  const auto& kernel = kernels::table<T>().quadratic;
  const int64_t n = problems.sizes[0];
  for (int64_t p = 0; p < problems.count; ++p) {
    const T *A = problems.input(0, p), *x = problems.input(1, p);
    T* gradient = problems.output(0, p);
    std::vector<T> z(n, T(0));
    kernel.matvec_both(n, n, A, problems.in[0].row_stride, x, x, gradient, z.data());
    for (int64_t i = 0; i < n; ++i) gradient[i] += z[i];
  }
}

template void quadratic_form_gradient(const Problems<float>&);
template void quadratic_form_gradient(const Problems<double>&);

}  // namespace matgrad::closed_form
