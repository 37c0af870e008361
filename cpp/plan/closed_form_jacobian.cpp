// Jacobian tensors of A x, A B and RᵀR by their factors.
#include "kernels/dispatch.h"
#include "matgrad/closed_form.h"
#include "plan/stack.h"

namespace matgrad::closed_form {

namespace {

/// Bytes of a tensor in a chunk of work.
constexpr int64_t kChunkBytes = 1 << 19;

/// Results of at least this many bytes are written past the cache. Measured with 32 MiB of cache: as fast for 8
/// MiB, 1.6 times for 20 MiB, three times for 128 MiB. Zeros stream faster than numbers, so this is less than
/// is_streamed.
constexpr int64_t kStreamingBytes = 12 << 20;

/// Deals the rows of the tensors of a stack, seen as matrices of (size y) rows and (size x) columns:
/// calls write(streaming, problem, first, last).
template <class T, class Write>
void for_rows(const Problems<T>& problems, int64_t rows, int64_t columns, const Write& write) {
  const int64_t row_bytes = columns * int64_t(sizeof(T));
  if (row_bytes == 0) return;
  const bool streaming = problems.count * rows * row_bytes >= kStreamingBytes;
  for_each_run(problems.count, rows, kChunkBytes / row_bytes,
               [&](int64_t problem, int64_t first, int64_t last) { write(streaming, problem, first, last); });
}

}  // namespace

template <class T>
void matvec_jacobian(const Problems<T>& problems) {
  const auto& kernel = kernels::table<T>().jacobian;
  const int64_t m = problems.sizes[0], n = problems.sizes[1];
  for_rows(problems, m, m * n, [&](bool streaming, int64_t p, int64_t first, int64_t last) {
    kernel.product_by_left(streaming, first, last, m, 1, n, problems.input(1, p), 1, problems.output(0, p));
  });
}

template <class T>
void matmul_jacobian(const Problems<T>& problems) {
  const auto& kernel = kernels::table<T>().jacobian;
  const int64_t m = problems.sizes[0], k = problems.sizes[1], n = problems.sizes[2];
  for_rows(problems, m * n, m * k, [&](bool streaming, int64_t p, int64_t first, int64_t last) {
    kernel.product_by_left(streaming, first, last, m, n, k, problems.input(1, p), problems.in[1].row_stride,
                           problems.output(0, p));
  });
  for_rows(problems, m * n, k * n, [&](bool streaming, int64_t p, int64_t first, int64_t last) {
    kernel.product_by_right(streaming, first, last, n, k, problems.input(0, p), problems.in[0].row_stride,
                            problems.output(1, p));
  });
}

template <class T>
void gram_jacobian(const Problems<T>& problems) {
  const auto& kernel = kernels::table<T>().jacobian;
  const int64_t m = problems.sizes[0], n = problems.sizes[1];
  for_rows(problems, n * n, m * n, [&](bool streaming, int64_t p, int64_t first, int64_t last) {
    kernel.gram(streaming, first, last, m, n, problems.input(0, p), problems.in[0].row_stride, problems.output(0, p));
  });
}

template void matvec_jacobian(const Problems<float>&);
template void matvec_jacobian(const Problems<double>&);
template void matmul_jacobian(const Problems<float>&);
template void matmul_jacobian(const Problems<double>&);
template void gram_jacobian(const Problems<float>&);
template void gram_jacobian(const Problems<double>&);

}  // namespace matgrad::closed_form
