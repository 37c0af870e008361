// The steps that a plan is made of: what each computes, and where its operands are.
#pragma once

#include <array>
#include <cstdint>
#include <variant>
#include <vector>

#include "expr/node.h"

namespace matgrad::plan {

/// An element of a buffer. Buffers are numbered: inputs, results, arrays in the expression, numbers, and then
/// intermediate results, which share one arena in the end.
struct Place {
  int buffer = 0;
  int64_t offset = 0;
  friend bool operator==(const Place&, const Place&) = default;
};

/// The most operands of a step, its result included.
constexpr int kMaxOperands = 5;

/// A loop over a label, with the distance in elements between neighbours along it in the result and in each operand.
struct Loop {
  int64_t length = 1;
  std::array<int64_t, kMaxOperands> strides{};
};

/// Nested loops, outermost first.
using Nest = std::vector<Loop>;

/// What an elementwise step does to its operands x, y, z.
enum class RowOp : uint8_t {
  Fill,      ///< a
  Scale,     ///< a x
  Combine,   ///< a x + b y
  Multiply,  ///< a x y
  Divide,    ///< x / y
  Power,     ///< x^a
  Select,    ///< x where y ≠ 0, else 0
  Map,       ///< a function of the table of operations
};

/// Instead of a kernel: elements are computed one by one. That takes about as long as so many multiplications each.
constexpr int kNoKernel = -1;
constexpr int64_t kFlopsOfValue = 64;

/// result = op(x, y, z), elementwise; places[0] is the result. An operand may be the result itself.
struct Elementwise {
  RowOp op = RowOp::Fill;
  int operands = 1;  ///< the result included
  double a = 1, b = 1;
  const expr::Op* function = nullptr;  ///< of Map
  int kernel = kNoKernel;              ///< its row in the kernels' table of that many operands
  std::array<Place, kMaxOperands> places{};
  Nest nest{};
  /// Whether the last two loops run in tiles, because an operand is contiguous along the last but one.
  bool tiled = false;
};

/// result[kept] = scale Σ_summed x[kept, summed] y[kept, summed]; places are result, x, y, or result, x for Σ x alone.
struct SumOfProducts {
  int operands = 3;
  double scale = 1;
  std::array<Place, kMaxOperands> places{};
  Nest kept{}, summed{};
  bool by_dots = true;      ///< whether the innermost loop is the last of `summed`, else it is the last of `kept`
  bool accumulate = false;  ///< whether it is added to the result
};

/// C = scale A diag(d) B + shift D for every C of a batch, A diag(d) B being summed over blocks `summed`, too. places
/// are C, A, B, D, d. C and D have unit stride along columns, A and B any strides. D may be C; where there is only d,
/// places[3] is that of C. A `symmetric` C is computed on and above its diagonal only, and a Mirror has to follow.
struct MatrixProduct {
  int operands = 3;  ///< 4 with D, 5 with d
  int64_t rows = 0, columns = 0, k = 0;
  int64_t ldc = 0, a_row = 0, a_column = 0, b_row = 0, b_column = 0, ldd = 0, d_step = 0;
  double scale = 1, shift = 0;
  bool symmetric = false;
  std::array<Place, kMaxOperands> places{};
  Nest batch{}, summed{};
};

/// Copies what is above the diagonals of the n×n matrices of a batch to below them.
struct Mirror {
  static constexpr int operands = 1;
  int64_t n = 0, ld = 0;
  std::array<Place, kMaxOperands> places{};
  Nest batch{};
};

/// z = scale (A + Aᵀ) x for every n×n matrix of a batch, of which A is read once. places are z, A, x: vectors are
/// contiguous, and A is along columns.
struct SymmetricProduct {
  static constexpr int operands = 3;
  int64_t n = 0, lda = 0;
  double scale = 1;
  std::array<Place, kMaxOperands> places{};
  Nest batch{};
};

/// Z = scale (A + Aᵀ) for every n×n matrix of a batch. places are Z and A, both contiguous along columns.
struct SymmetricSum {
  static constexpr int operands = 2;
  int64_t n = 0, ldz = 0, lda = 0;
  double scale = 1;
  std::array<Place, kMaxOperands> places{};
  Nest batch{};
};

/// A contiguous result of that size that is zero but for cores that are scattered over it and added up. Places are the
/// result, then the cores. Strides of loops are those in the result, in ascending order of places, and in the core.
struct Scatter {
  int operands = 1;
  int64_t size = 0;
  std::array<Place, kMaxOperands> places{};
  struct Core {
    double scale = 1;
    int64_t offset = 0;  ///< of its first entry in the result
    Nest nest{};
  };
  std::vector<Core> cores{};
};

/// result[kept] = the reduction of x[kept, reduced]; places are result and x.
struct RowReduction {
  static constexpr int operands = 2;
  expr::Reduction reduction = expr::Reduction::Max;
  std::array<Place, kMaxOperands> places{};
  Nest kept{}, reduced{};
};

/// result = x at places index₁, index₂, … along axes of x; or, if it `adds`, these places along axes of the result +=
/// x. places are result, x, indices.
struct Selection {
  int operands = 3;
  bool adds = false;
  /// Of the operands from the third on: the stride and the length of the axis that they are places along.
  std::array<int64_t, kMaxOperands> steps{}, lengths{};
  std::array<Place, kMaxOperands> places{};
  Nest nest{};
};

/// result[i] = Σ x[j] over j ≤ i + offset, or if it is `reversed` over i ≤ j + offset, for every row; places are result
/// and x.
struct CumulativeSum {
  static constexpr int operands = 2;
  bool reversed = false;
  int64_t offset = 0;
  int64_t result_length = 0, result_stride = 0, x_length = 0, x_stride = 0;
  std::array<Place, kMaxOperands> places{};
  Nest rows{};
};

/// Where the largest or smallest entry of each row is, or where all are in ascending order; places are result and x.
struct Ordering {
  static constexpr int operands = 2;
  expr::Reduction order = expr::Reduction::ArgSort;
  int64_t length = 0, result_stride = 0, x_stride = 0;
  std::array<Place, kMaxOperands> places{};
  Nest rows{};
};

/// exp(x − m) / Σ exp(x − m) for rows x of that length, m being the maximum of each; places are result and operand,
/// which both are contiguous along rows.
struct Softmax {
  static constexpr int operands = 2;
  int64_t length = 0;
  std::array<Place, kMaxOperands> places{};
  Nest rows{};
};

/// A triangular factorization, in place, of `count` n×n matrices: Cholesky's of those that are symmetric and positive
/// definite, that with pivots of the others. Places are matrices and pivots.
struct Factorize {
  static constexpr int operands = 2;
  int64_t count = 0, n = 0;
  std::array<Place, kMaxOperands> places{};
};

/// A function of the determinant; places are result, factorization, pivots.
struct Determinant {
  static constexpr int operands = 3;
  expr::LinalgOp op = expr::LinalgOp::Det;
  int64_t count = 0, n = 0;
  std::array<Place, kMaxOperands> places{};
};

/// Solves A x = b, or Aᵀ x = b, in place for `columns` contiguous right-hand sides of every matrix. Places are x,
/// factorization, pivots.
struct Solve {
  static constexpr int operands = 3;
  int64_t count = 0, n = 0, columns = 0;
  bool transposed = false;
  std::array<Place, kMaxOperands> places{};
};

/// The inverses of matrices. Places are inverses, factorization, pivots.
struct Invert {
  static constexpr int operands = 3;
  int64_t count = 0, n = 0;
  std::array<Place, kMaxOperands> places{};
};

/// What a matrix is decomposed into, or a function of the whole of it.
enum class Decomposition : uint8_t {
  Cholesky,     ///< of the symmetric part; L, in place
  Eigen,        ///< of the symmetric part; the vectors, in place, and the values
  Singular,     ///< s, U and Vᵀ; the matrix is lost
  Orthogonal,   ///< Q, in place, and R
  Exponential,  ///< in place
};

/// Decompositions of `count` matrices in column order. Places are the matrices and what else there is in the list
/// above, all in column order, and all written. Of Eigen and Singular vectors may not be wanted.
struct Decompose {
  int operands = 1;
  Decomposition kind = Decomposition::Cholesky;
  int64_t count = 0, rows = 0, columns = 0;
  bool vectors = true;
  std::array<Place, kMaxOperands> places{};

  int64_t values() const { return rows < columns ? rows : columns; }
};

struct TiledStep;

/// The most passes within each other.
constexpr int kMostLevels = 2;

/// Steps that run one after another for each tile of a streamed index, so that what one of them leaves for the next
/// stays in the cache. Chunks of the index are dealt to threads. Sums over the index are accumulated in memory of each
/// chunk, if there are several, and added up at the end, in order; places are that memory.
struct Pass {
  int operands = 0;
  int level = 0;                            ///< 1 if it is part of another one
  int64_t length = 0, tile = 0, chunk = 0;  ///< of the index, of its tiles, of its chunks
  std::vector<TiledStep> body{}, last{};    ///< the steps for a tile, and for the last one
  std::array<Place, kMaxOperands> places{};
  /// A sum over the index: where it is, its size, and where it is in the memory of a chunk.
  struct Sum {
    Place target{};
    int64_t size = 0, offset = 0;
  };
  std::vector<Sum> sums{};
  int64_t partial_memory = 0;  ///< elements of each chunk
  int64_t tile_memory = 0;     ///< elements of each thread

  int64_t chunks() const { return (length + chunk - 1) / chunk; }
};

/// A step of a plan; each has `operands` places, of which the first is written, by Factorize the second,
/// too, and by Decompose all.
using Step = std::variant<Elementwise, SumOfProducts, MatrixProduct, Mirror, SymmetricProduct, SymmetricSum, Scatter,
                          RowReduction, Selection, CumulativeSum, Ordering, Softmax, Factorize, Determinant, Solve,
                          Invert, Decompose, Pass>;

/// A step within passes: how many elements its operands move for each value of the streamed index, by level of pass.
struct TiledStep {
  Step step{};
  int axis = -1;  ///< its loop over the values of a tile, while passes are made
  std::array<std::array<int64_t, kMaxOperands>, kMostLevels> advance{};
};

/// Which buffers are what.
struct Buffers {
  int inputs = 0, results = 0, arrays = 0;
  int result(int k) const { return inputs + k; }
  int array(int k) const { return inputs + results + k; }
  int numbers() const { return inputs + results + arrays; }
  int arena() const { return numbers() + 1; }
  int tile() const { return arena() + 1; }     ///< of a pass: what stays within a tile
  int partial() const { return arena() + 2; }  ///< of a pass: what a chunk adds to
  int count() const { return arena() + 3; }
  /// Until places are assigned, intermediate buffers are numbered from here on.
  int first_intermediate() const { return count(); }
};

/// An argument of a program: its shape, and the distance in elements between neighbours along each axis.
struct Argument {
  std::vector<int64_t> shape{}, strides{};
  bool is_contiguous = true;  ///< whether the strides are those of C order
  friend bool operator==(const Argument&, const Argument&) = default;
};

/// A program for given arguments.
struct Plan {
  Buffers buffers{};
  std::vector<double> numbers{};
  std::vector<Argument> arguments{};
  std::vector<std::vector<int64_t>> result_shapes{};
  std::vector<Step> steps{};
  int64_t arena = 0;               ///< elements of intermediate results
  std::vector<int64_t> largest{};  ///< the shape of the largest intermediate result
  double work = 0;                 ///< time that it takes, in that of reading or writing an element
  bool can_fail = false;           ///< whether a step may throw LinalgError, or find an index out of bounds
};

/// Thrown where a matrix has no inverse, or not the decomposition that is wanted.
struct LinalgError : std::exception {
  explicit LinalgError(const char* text) : message(text) {}
  const char* what() const noexcept override { return message; }
  const char* message;
};

/// Thrown where an intermediate result has more elements than can be counted.
struct TooLarge : std::exception {
  explicit TooLarge(std::vector<int64_t> shape) : shape(std::move(shape)) {}
  const char* what() const noexcept override { return "an intermediate result is too large"; }
  std::vector<int64_t> shape;
};

}  // namespace matgrad::plan
