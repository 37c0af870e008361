// Cores of structured derivatives, and their products.
#include <algorithm>

#include "kernels/dispatch.h"
#include "matgrad/closed_form.h"
#include "plan/threads.h"

namespace matgrad::closed_form {

namespace {

/// Multiplications that are a chunk of work: some 15 µs.
constexpr int64_t kProductsPerChunk = 1 << 18;

/// How many lines, each of that many multiplications, are a chunk of work: a multiple of 32, which fills registers.
int64_t lines_per_chunk(int64_t multiplications) {
  return std::max<int64_t>(1, kProductsPerChunk / (32 * std::max<int64_t>(1, multiplications))) * 32;
}

}  // namespace

template <class T>
void factorization_hessian(const Problems<T>& problems) {
  constexpr int64_t kBlock = 256;  // rows of U that stay in cache while they meet all of its columns
  const auto& product = kernels::table<T>().product;
  const auto [n, r, unused, unused_too] = problems.sizes;
  const int64_t ldu = problems.in[0].row_stride;
  for (int64_t p = 0; p < problems.count; ++p) {
    const T* U = problems.input(0, p);
    T* core = problems.output(0, p);
    threads::parallel_ranges(r, lines_per_chunk(n * r), [&, n = n, r = r](int64_t first, int64_t last) {
      std::fill(core + first * r, core + last * r, T(0));
      for (int64_t row = 0; row < n; row += kBlock) {
        const T* block = U + row * ldu;
        T* rows = core + first * r;
        product.multiply({.rows = last - first,
                          .columns = r,
                          .k = std::min(kBlock, n - row),
                          .A = block + first,
                          .a_row = 1,
                          .a_column = ldu,
                          .B = block,
                          .b_row = ldu,
                          .b_column = 1,
                          .scale = 2,
                          .C = rows,
                          .ldc = r,
                          .shift = 1,
                          .D = rows,
                          .ldd = r},
                         nullptr);
      }
    });
  }
}

template <class T>
void core_product(const Problems<T>& problems) {
  const auto& product = kernels::table<T>().product;
  const auto [rows, k, columns, unused] = problems.sizes;
  const int64_t ldc = problems.in[0].row_stride, ldv = problems.in[1].row_stride;
  for (int64_t p = 0; p < problems.count; ++p) {
    const T *core = problems.input(0, p), *v = problems.input(1, p);
    T* result = problems.output(0, p);
    threads::parallel_ranges(columns, lines_per_chunk(rows * k),
                             [&, rows = rows, k = k, columns = columns](int64_t first, int64_t last) {
                               product.multiply({.rows = rows,
                                                 .columns = last - first,
                                                 .k = k,
                                                 .A = core,
                                                 .a_row = ldc,
                                                 .a_column = 1,
                                                 .B = v + first,
                                                 .b_row = ldv,
                                                 .b_column = 1,
                                                 .C = result + first,
                                                 .ldc = columns},
                                                nullptr);
                             });
  }
}

template void factorization_hessian(const Problems<float>&);
template void factorization_hessian(const Problems<double>&);
template void core_product(const Problems<float>&);
template void core_product(const Problems<double>&);

}  // namespace matgrad::closed_form
