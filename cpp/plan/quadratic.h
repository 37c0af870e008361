// How work on an n×n matrix A is cut for (A + Aᵀ) x and A + Aᵀ, which read A once.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/dispatch.h"
#include "plan/chunks.h"
#include "plan/scratch.h"
#include "plan/stack.h"
#include "plan/threads.h"

namespace matgrad {

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
inline bool is_large(int64_t n) {
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

/// z = (A + Aᵀ) x.
template <class T>
void symmetric_product(int64_t n, const T* A, int64_t lda, const T* x, T* z) {
  const auto& kernel = kernels::table<T>().quadratic;
  if (n <= kernel.small) return kernel.small_symmetric_products(1, n, A, lda, 0, x, 0, z, 0);
  if (!is_large(n)) return kernel.symmetric_product(0, n, n, A, lda, x, z);
  const RowChunks chunks(n);
  static thread_local Scratch scratch;
  T* const partials = scratch.get<T>(size_t((chunks.count - 1) * n));
  threads::parallel_for(chunks.count, [&](int64_t c) {
    kernel.symmetric_product(chunks.first(c), chunks.last(c), n, A, lda, x, c == 0 ? z : partials + (c - 1) * n);
  });
  kernel.add_into(chunks.count - 1, n, partials, n, z);
}

/// A matrix, a vector and where their product goes.
template <class T>
struct MatrixAndVector {
  const T *A, *x;
  T* z;
};

/// z = (A + Aᵀ) x for `count` problems: at(p) says where the operands of problem p are. If they are evenly spaced,
/// `spacing` says how far apart those of A, x and z are; else it is null.
template <class T, class At>
void symmetric_products(int64_t count, int64_t n, int64_t lda, const int64_t* spacing, const At& at) {
  const auto& kernel = kernels::table<T>().quadratic;
  const int64_t problems_per_chunk = kChunkElements / std::max<int64_t>(n * n, 1);
  auto solve = [&](int64_t p) {
    const MatrixAndVector<T> problem = at(p);
    symmetric_product(n, problem.A, lda, problem.x, problem.z);
  };
  if (is_large(n)) {
    for (int64_t p = 0; p < count; ++p) solve(p);
  } else if (n <= kernel.small && spacing != nullptr) {
    for_each_run(1, count, problems_per_chunk, [&](int64_t, int64_t first, int64_t last) {
      const MatrixAndVector<T> problem = at(first);
      kernel.small_symmetric_products(last - first, n, problem.A, lda, spacing[0], problem.x, spacing[1], problem.z,
                                      spacing[2]);
    });
  } else {
    for_each_run(count, 1, problems_per_chunk, [&](int64_t p, int64_t, int64_t) { solve(p); });
  }
}

/// A matrix and where its sum with its transpose goes.
template <class T>
struct MatrixAndSum {
  const T* A;
  T* Z;
};

/// Z = scale (A + Aᵀ) for `count` problems: at(p) says where the operands of problem p are.
template <class T, class At>
void symmetric_sums(int64_t count, int64_t n, T scale, int64_t lda, int64_t ldz, const At& at) {
  if (count == 0 || n == 0) return;
  const auto& kernel = kernels::table<T>().quadratic;
  const int64_t head = elements_to_cache_line(at(0).Z);
  const BlockPairs pairs(n, head);
  const bool streaming = is_streamed<T>(count * n * n) && ldz * int64_t(sizeof(T)) % kLineBytes == 0;
  for_each_run(count, pairs.count, kChunkElements / std::max<int64_t>(pairs.elements, 1),
               [&](int64_t p, int64_t first, int64_t last) {
                 const MatrixAndSum<T> problem = at(p);
                 const T* A = problem.A;
                 T* Z = problem.Z;
                 const bool alike = elements_to_cache_line(Z) == head;
                 pairs.for_each(first, last, [&](int64_t i, int64_t rows, int64_t j, int64_t columns) {
                   const bool aligned = alike && (i > 0 || head == 0);
                   kernel.add_transpose(streaming && aligned, rows, columns, scale, A + i * lda + j, A + j * lda + i,
                                        lda, Z + i * ldz + j, Z + j * ldz + i, ldz);
                 });
               });
}

}  // namespace matgrad
