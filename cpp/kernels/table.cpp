// The kernels of one instruction set; compiled once for each, with MATGRAD_ISA its name as an identifier.
#include "kernels/arithmetic-inl.h"
#include "kernels/factorization-inl.h"
#include "kernels/jacobian-inl.h"
#include "kernels/kernels.h"
#include "kernels/map-inl.h"
#include "kernels/matvec-inl.h"
#include "kernels/observed-inl.h"
#include "kernels/outer-inl.h"
#include "kernels/product-inl.h"
#include "kernels/quadratic-inl.h"
#include "kernels/reduce-inl.h"
#include "kernels/vec-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

template <class T>
constexpr Table<T> make_table() {
  return {.map = map_kernels<T>(),
          .arithmetic = arithmetic_kernels<T>(),
          .quadratic = quadratic_kernels<T>(),
          .jacobian = jacobian_kernels<T>(),
          .reduce = reduce_kernels<T>(),
          .outer = outer_kernels<T>(),
          .factorization = factorization_kernels<T>(),
          .observed = observed_kernels<T>(),
          .product = product_kernels<T>(),
          .matvec = matvec_kernels<T>()};
}

}  // namespace

extern const Kernels kernels;
constinit const Kernels kernels{MATGRAD_ISA_NAME, kVectorBytes, make_table<float>(), make_table<double>()};

}  // namespace matgrad::kernels::MATGRAD_ISA
