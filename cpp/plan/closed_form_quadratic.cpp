// The quadratic form xᵀA x, its gradient (A + Aᵀ) x and its Hessian A + Aᵀ.
#include "kernels/dispatch.h"
#include "matgrad/closed_form.h"
#include "plan/chunks.h"
#include "plan/scratch.h"
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

/// The pairs of blocks (I, J) and (J, I), I ≤ J, of an n×n matrix, in the order of the upper triangle's rows.
struct BlockPairs {
  static constexpr int64_t kBlock = kernels::kTransposeBlock;
  int64_t n, head, blocks, count, elements;

  /// `head` rows and columns make a first, smaller block, so that the others begin with a cache line where they can.
  BlockPairs(int64_t n, int64_t head) : n(n), head(head == 0 ? kBlock : head) {
    blocks = n == 0 ? 0 : 1 + std::max<int64_t>(0, n - this->head + kBlock - 1) / kBlock;
    count = blocks * (blocks + 1) / 2;
    elements = std::min(n, kBlock) * std::min(n, kBlock);
  }
  int64_t begin(int64_t block) const { return block == 0 ? 0 : head + (block - 1) * kBlock; }
  int64_t length(int64_t block) const { return std::min(n, begin(block + 1)) - begin(block); }

  /// Calls task(first row, rows, first column, columns) for pairs [first, last).
  template <class Task>
  void for_each(int64_t first, int64_t last, const Task& task) const {
    int64_t I = 0, J = first;
    for (; J >= blocks - I; ++I) J -= blocks - I;
    for (J += I; first < last; ++first) {
      task(begin(I), length(I), begin(J), length(J));
      if (++J == blocks) J = ++I;
    }
  }
};

constexpr uintptr_t kLineBytes = 64;

/// Elements before the first that begins a cache line.
template <class T>
int64_t elements_to_cache_line(const T* p) {
  return int64_t(-reinterpret_cast<uintptr_t>(p) % kLineBytes / sizeof(T));
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
  static thread_local Scratch scratch;
  T* const partials = scratch.get<T>(size_t((chunks.count - 1) * n));
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
  const auto& kernel = kernels::table<T>().quadratic;
  const int64_t n = problems.sizes[0], lda = problems.in[0].row_stride;
  const BlockPairs pairs(n, elements_to_cache_line(problems.out[0].data));
  const bool streaming = is_streamed<T>(problems.count * n * n) && n * sizeof(T) % kLineBytes == 0;
  for_each_run(problems.count, pairs.count, kChunkElements / std::max<int64_t>(pairs.elements, 1),
               [&](int64_t p, int64_t first, int64_t last) {
                 const T* A = problems.input(0, p);
                 T* H = problems.output(0, p);
                 pairs.for_each(first, last, [&](int64_t i, int64_t rows, int64_t j, int64_t columns) {
                   const bool aligned = i > 0 || pairs.head == BlockPairs::kBlock;
                   kernel.add_transpose(streaming && aligned, rows, columns, A + i * lda + j, A + j * lda + i, lda,
                                        H + i * n + j, H + j * n + i, n);
                 });
               });
}

template void quadratic_form(const Problems<float>&);
template void quadratic_form(const Problems<double>&);
template void quadratic_form_gradient(const Problems<float>&);
template void quadratic_form_gradient(const Problems<double>&);
template void quadratic_form_hessian(const Problems<float>&);
template void quadratic_form_hessian(const Problems<double>&);

}  // namespace matgrad::closed_form
