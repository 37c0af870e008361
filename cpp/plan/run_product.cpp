// Products of matrices, cut into tiles of C, and where that has few of them into parts of k; both depend on sizes
// alone.
#include <algorithm>

#include "kernels/dispatch.h"
#include "plan/rows.h"
#include "plan/run.h"
#include "plan/scratch.h"

namespace matgrad::plan {
namespace {

/// Multiplications that are a chunk of work: some 15 µs; those that are a large one, and how many of either are enough.
constexpr int64_t kProductsPerChunk = 1 << 18, kProductsPerLargeChunk = 1 << 23, kChunks = 4, kLargeChunks = 16;
/// The largest tile of C, its smallest side, and the fewest terms of a part of k.
constexpr int64_t kMostRows = 576, kMostColumns = 256, kLeastSide = 48, kLeastTerms = 512;

/// [0, length) in pieces that are as equal as multiples of `unit` allow.
struct Cut {
  Cut(int64_t length, int64_t pieces, int64_t unit)
      : length(length), width(std::max<int64_t>(1, (length + pieces * unit - 1) / (pieces * unit) * unit)) {}
  int64_t length, width;
  int64_t pieces() const { return (length + width - 1) / width; }
  int64_t begin(int64_t piece) const { return piece * width; }
  int64_t size(int64_t piece) const { return std::min(width, length - piece * width); }
};

/// How the products of a step are cut.
struct Cuts {
  Cut rows, columns, terms;
};

/// C is cut into tiles that are packed at once; then k if it is long, else the longer side of the tiles, until there
/// are enough chunks, or they would be too small.
Cuts cuts_of(const MatrixProduct& step, int64_t products, int64_t outer) {
  int64_t rows = (step.rows + kMostRows - 1) / kMostRows, columns = (step.columns + kMostColumns - 1) / kMostColumns;
  int64_t terms = 1;
  rows = std::max<int64_t>(1, rows);
  columns = std::max<int64_t>(1, columns);
  const int64_t work = products * step.rows * step.columns * step.k * outer / (step.symmetric ? 2 : 1);
  for (;;) {
    const int64_t chunks = products * rows * columns * terms, half = work / chunks / 2;
    if (chunks >= (half >= kProductsPerLargeChunk ? kLargeChunks : kChunks) || half < kProductsPerChunk) break;
    const int64_t height = step.rows / rows, width = step.columns / columns, depth = step.k / terms;
    if (products * outer == 1 && depth >= 2 * kLeastTerms && depth > 2 * std::max(height, width)) {
      terms *= 2;
    } else if (std::max(height, width) >= 2 * kLeastSide) {
      (height >= width ? rows : columns) *= 2;
    } else {
      break;
    }
  }
  // Rows of whole register tiles, columns of whole registers; tiles on the diagonal of a symmetric C are square.
  if (step.symmetric) rows = columns = std::max(rows, columns);
  return {Cut(step.rows, rows, step.symmetric ? 32 : 12), Cut(step.columns, columns, 32), Cut(step.k, terms, 1)};
}

template <class T>
void multiply(const kernels::Product<T>& product) {
  constexpr int64_t kSmall = 1 << 15;  // multiplications for which nothing is packed where it doesn't have to be
  static thread_local Scratch scratch;
  const auto& kernels = kernels::table<T>().product;
  const bool is_small = product.rows * product.columns * product.k <= kSmall;
  if (is_small && product.b_column == 1 && product.d == nullptr) return kernels.multiply(product, nullptr);
  kernels.multiply(product, scratch.get<T>(size_t(kernels.scratch_size)));
}

/// The whole product at these operands, over the first block that is summed.
template <class T>
kernels::Product<T> product_at(const MatrixProduct& step, const Pointers<T>& at) {
  return {.rows = step.rows,
          .columns = step.columns,
          .k = step.k,
          .A = at[1],
          .a_row = step.a_row,
          .a_column = step.a_column,
          .B = at[2],
          .b_row = step.b_row,
          .b_column = step.b_column,
          .d = step.operands == 5 ? at[4] : nullptr,
          .d_step = step.d_step,
          .scale = T(step.scale),
          .C = at[0],
          .ldc = step.ldc,
          .shift = T(step.shift),
          .D = at[3],
          .ldd = step.ldd,
          .below = step.symmetric ? 0 : INT64_MAX / 2};
}

/// The part of a product in a tile of C.
template <class T>
kernels::Product<T> tile_of(kernels::Product<T> product, const Cut& rows, int64_t row, const Cut& columns,
                            int64_t column) {
  const int64_t i = rows.begin(row), j = columns.begin(column);
  product.rows = rows.size(row);
  product.columns = columns.size(column);
  product.A += i * product.a_row;
  product.B += j * product.b_column;
  product.C += i * product.ldc + j;
  product.D += i * product.ldd + j;
  product.below += j - i;
  return product;
}

template <class T>
bool is_above(const kernels::Product<T>& tile) {
  return tile.below + tile.columns > 0;
}

/// The part of a product over some terms.
template <class T>
kernels::Product<T> part_of(kernels::Product<T> product, const Cut& terms, int64_t part) {
  const int64_t p = terms.begin(part);
  product.k = terms.size(part);
  product.A += p * product.a_column;
  product.B += p * product.b_row;
  if (product.d) product.d += p * product.d_step;
  return product;
}

/// C from its first part, which is there, and the others: C += Σ_p parts[p].
template <class T>
void add_parts(const kernels::Product<T>& product, int64_t parts, const T* from) {
  const auto& arithmetic = kernels::table<T>().arithmetic;
  const int64_t size = product.rows * product.columns;
  threads::parallel_ranges(product.rows, problems_per_chunk(product.columns * parts), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      T* c = product.C + i * product.ldc;
      const int64_t begin = std::clamp<int64_t>(i - product.below, 0, product.columns);
      for (int64_t part = 0; part < parts; ++part) {
        const T* row = from + part * size + i * product.columns;
        arithmetic.combine(product.columns - begin, T(1), c + begin, 1, T(1), row + begin, 1, c + begin);
      }
    }
  });
}

/// One product whose k is cut: every part but the first has sums of its own, which are added in the end.
template <class T>
void run_in_parts(const Cuts& cuts, const kernels::Product<T>& product) {
  static thread_local Scratch scratch;
  const int64_t parts = cuts.terms.pieces(), size = product.rows * product.columns;
  T* sums = scratch.get<T>(size_t((parts - 1) * size));
  const int64_t tiles = cuts.rows.pieces() * cuts.columns.pieces();
  threads::parallel_for(parts * tiles, [&](int64_t item) {
    const int64_t part = item / tiles, tile = item % tiles;
    kernels::Product<T> some = part_of(product, cuts.terms, part);
    if (part > 0) {
      some.C = sums + (part - 1) * size;
      some.ldc = product.columns;
      some.shift = 0;
    }
    some = tile_of(some, cuts.rows, tile / cuts.columns.pieces(), cuts.columns, tile % cuts.columns.pieces());
    if (is_above(some)) multiply(some);
  });
  add_parts(product, parts - 1, sums);
}

/// Products of which each is a tile: positions [first, last) of a batch, in stacks along its innermost loop.
template <class T>
void run_stacks(const MatrixProduct& step, const Pointers<T>& at, int64_t first, int64_t last) {
  const Loop& inner = step.batch.back();
  const size_t depth = step.batch.size() - 1;
  Odometer<T> outer(step.batch, depth, at, first / inner.length);
  for (int64_t begin = first % inner.length; first < last; begin = 0, outer.next()) {
    Pointers<T> base = outer.pointers();
    for (size_t k = 0; k < kMaxOperands; ++k) base[k] += begin * inner.strides[k];
    kernels::Product<T> stack = product_at(step, base);
    stack.count = std::min(last - first, inner.length - begin);
    stack.stack_C = inner.strides[0];
    stack.stack_A = inner.strides[1];
    stack.stack_B = inner.strides[2];
    stack.stack_D = inner.strides[3];
    stack.stack_d = inner.strides[4];
    multiply(stack);
    first += stack.count;
  }
}

/// Tiles [first, last) of the products of a batch, which are sums over blocks.
template <class T>
void run_tiles(const MatrixProduct& step, const Cuts& cuts, const Pointers<T>& at, int64_t first, int64_t last) {
  const int64_t columns = cuts.columns.pieces(), tiles = cuts.rows.pieces() * columns;
  const int64_t blocks = iterations(step.summed, step.summed.size());
  Odometer<T> batch(step.batch, step.batch.size(), at, first / tiles);
  for (int64_t item = first; item < last; ++item) {
    Odometer<T> walk(step.summed, step.summed.size(), batch.pointers());
    const int64_t row = item % tiles / columns, column = item % tiles % columns;
    for (int64_t block = 0; block < blocks; ++block, walk.next()) {
      kernels::Product<T> tile = tile_of(product_at(step, walk.pointers()), cuts.rows, row, cuts.columns, column);
      if (block > 0) tile.D = tile.C, tile.ldd = tile.ldc, tile.shift = 1;
      if (is_above(tile)) multiply(tile);
    }
    if ((item + 1) % tiles == 0) batch.next();
  }
}

}  // namespace

template <class T>
void run(const MatrixProduct& step, const Pointers<T>& at) {
  const int64_t blocks = iterations(step.summed, step.summed.size());
  const int64_t work = step.rows * step.columns * step.k;
  if (step.batch.empty() && blocks == 1 && work <= kProductsPerChunk) return multiply(product_at(step, at));
  const int64_t products = iterations(step.batch, step.batch.size());
  const Cuts cuts = cuts_of(step, products, blocks);
  if (cuts.terms.pieces() > 1) return run_in_parts(cuts, product_at(step, at));
  const int64_t tiles = cuts.rows.pieces() * cuts.columns.pieces();
  const int64_t tile_work = std::max<int64_t>(1, work * blocks / std::max<int64_t>(1, tiles));
  const int64_t grain = std::max<int64_t>(1, kProductsPerChunk / tile_work);
  threads::parallel_ranges(products * tiles, grain, [&](int64_t first, int64_t last) {
    const bool are_stacks = tiles == 1 && blocks == 1 && !step.batch.empty();
    are_stacks ? run_stacks(step, at, first, last) : run_tiles(step, cuts, at, first, last);
  });
}

template <class T>
void run(const Mirror& step, const Pointers<T>& at) {
  const auto& arithmetic = kernels::table<T>().arithmetic;
  const int64_t blocks = (step.n + kTile - 1) / kTile, matrices = iterations(step.batch, step.batch.size());
  threads::parallel_ranges(matrices * blocks, problems_per_chunk(kTile * step.n), [&](int64_t first, int64_t last) {
    for (int64_t item = first; item < last; ++item) {
      T* matrix = Odometer<T>(step.batch, step.batch.size(), at, item / blocks).pointers()[0];
      const int64_t i = item % blocks * kTile, height = std::min(kTile, step.n - i);
      for (int64_t row = i; row < i + height; ++row) {
        for (int64_t j = i; j < row; ++j) matrix[row * step.ld + j] = matrix[j * step.ld + row];
      }
      for (int64_t j = 0; j < i; j += kTile) {
        arithmetic.transpose(kTile, height, matrix + j * step.ld + i, step.ld, matrix + i * step.ld + j, step.ld);
      }
    }
  });
}

template void run(const MatrixProduct&, const Pointers<float>&);
template void run(const MatrixProduct&, const Pointers<double>&);
template void run(const Mirror&, const Pointers<float>&);
template void run(const Mirror&, const Pointers<double>&);

}  // namespace matgrad::plan
