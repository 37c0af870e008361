// The quadratic form xᵀA x, its gradient (A + Aᵀ) x and its Hessian A + Aᵀ.
#include "kernels/dispatch.h"
#include "matgrad/closed_form.h"
#include "plan/stack.h"
#include "plan/threads.h"

namespace matgrad::closed_form {

namespace {

/// Elements of A in a chunk of work; below twice as many, work stays on the calling thread.
constexpr int64_t kChunkElements = 1 << 16;

/// The most chunks that one matrix is cut into, since each has a partial result of its own.
constexpr int64_t kMaxChunks = 32;

/// The rows of an n×n matrix cut into chunks, whole multiples of what kernels take at a time.
struct RowChunks {
  int64_t n, size, count;

  explicit RowChunks(int64_t n) : n(n) {
    const int64_t rows = std::max(kChunkElements / n, (n + kMaxChunks - 1) / kMaxChunks);
    size = (rows + 7) / 8 * 8;
    count = (n + size - 1) / size;
  }
  int64_t first(int64_t chunk) const { return chunk * size; }
  int64_t last(int64_t chunk) const { return std::min(n, (chunk + 1) * size); }
};

/// Whether one matrix is worth cutting into chunks.
bool is_large(int64_t n) {
  return n * n >= 2 * kChunkElements;
}

template <class T>
T quadratic_form_of(int64_t n, const T* A, int64_t lda, const T* x) {
  const auto& kernel = kernels::table<T>().quadratic;
  if (!is_large(n)) return kernel.quadratic_form(0, n, n, A, lda, x);
  const RowChunks chunks(n);
  T partial[kMaxChunks];
  threads::parallel_for(chunks.count, [&](int64_t c) {
    partial[c] = kernel.quadratic_form(chunks.first(c), chunks.last(c), n, A, lda, x);
  });
  T total = 0;
  for (int64_t c = 0; c < chunks.count; ++c) total += partial[c];
  return total;
}

template <class T>
void gradient_of(int64_t n, const T* A, int64_t lda, const T* x, T* gradient) {
  const auto& kernel = kernels::table<T>().quadratic;
  if (n <= kernel.small) return kernel.small_symmetric_products(1, n, A, lda, 0, x, 0, gradient, 0);
  if (!is_large(n)) return kernel.symmetric_product(0, n, n, A, lda, x, gradient);
  const RowChunks chunks(n);
  static thread_local std::vector<T> scratch;  // kept: a call of the same size allocates nothing
  if (int64_t(scratch.size()) < (chunks.count - 1) * n) scratch.resize((chunks.count - 1) * n);
  T* const partials = scratch.data();
  threads::parallel_for(chunks.count, [&](int64_t c) {
    kernel.symmetric_product(chunks.first(c), chunks.last(c), n, A, lda, x, c == 0 ? gradient : partials + (c - 1) * n);
  });
  kernel.add_into(chunks.count - 1, n, partials, n, gradient);
}

}  // namespace

template <class T>
void quadratic_form(const Problems<T>& problems) {
  const int64_t n = problems.sizes[0], lda = problems.in[0].row_stride;
  auto solve = [&](int64_t p) {
    *problems.output(0, p) = quadratic_form_of(n, problems.input(0, p), lda, problems.input(1, p));
  };
  if (is_large(n)) {
    for (int64_t p = 0; p < problems.count; ++p) solve(p);
  } else {
    for_each_run(problems.count, 1, kChunkElements / std::max<int64_t>(n * n, 1),
                 [&](int64_t p, int64_t, int64_t) { solve(p); });
  }
}

template <class T>
void quadratic_form_gradient(const Problems<T>& problems) {
  const auto& kernel = kernels::table<T>().quadratic;
  const auto &A = problems.in[0], &x = problems.in[1];
  const int64_t n = problems.sizes[0], problems_per_chunk = kChunkElements / std::max<int64_t>(n * n, 1);
  auto solve = [&](int64_t p) {
    gradient_of(n, problems.input(0, p), A.row_stride, problems.input(1, p), problems.output(0, p));
  };
  if (is_large(n)) {
    for (int64_t p = 0; p < problems.count; ++p) solve(p);
  } else if (n <= kernel.small && problems.stack_shape.size() <= 1) {
    const bool stacked = !problems.stack_shape.empty();
    for_each_run(1, problems.count, problems_per_chunk, [&](int64_t, int64_t first, int64_t last) {
      kernel.small_symmetric_products(last - first, n, problems.input(0, first), A.row_stride,
                                      stacked ? A.stack_strides[0] : 0, problems.input(1, first),
                                      stacked ? x.stack_strides[0] : 0, problems.output(0, first), n);
    });
  } else {
    for_each_run(problems.count, 1, problems_per_chunk, [&](int64_t p, int64_t, int64_t) { solve(p); });
  }
}

template <class T>
void quadratic_form_hessian(const Problems<T>& problems) {
  constexpr int64_t kBlock = 128;
  const auto& kernel = kernels::table<T>().quadratic;
  const int64_t n = problems.sizes[0], lda = problems.in[0].row_stride;
  const int64_t blocks = (n + kBlock - 1) / kBlock, pairs = blocks * (blocks + 1) / 2;
  const int64_t pair_elements = std::min(n, kBlock) * std::min(n, kBlock);
  // Pairs of blocks (I, J) and (J, I), I ≤ J, in the order of the upper triangle's rows.
  for_each_run(problems.count, pairs, kChunkElements / std::max<int64_t>(pair_elements, 1),
               [&](int64_t p, int64_t first, int64_t last) {
                 const T* A = problems.input(0, p);
                 T* H = problems.output(0, p);
                 int64_t I = 0, J = first;
                 for (; J >= blocks - I; ++I) J -= blocks - I;
                 for (J += I; first < last; ++first) {
                   const int64_t i = I * kBlock, j = J * kBlock;
                   kernel.add_transpose(std::min(kBlock, n - i), std::min(kBlock, n - j), A + i * lda + j,
                                        A + j * lda + i, lda, H + i * n + j, H + j * n + i, n);
                   if (++J == blocks) J = ++I;
                 }
               });
}

template void quadratic_form(const Problems<float>&);
template void quadratic_form(const Problems<double>&);
template void quadratic_form_gradient(const Problems<float>&);
template void quadratic_form_gradient(const Problems<double>&);
template void quadratic_form_hessian(const Problems<float>&);
template void quadratic_form_hessian(const Problems<double>&);

}  // namespace matgrad::closed_form
