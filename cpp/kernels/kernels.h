// The table of SIMD kernels: loops over pointers and sizes, one implementation per instruction set.
//
// Conventions. Vectors are contiguous. A matrix is row-major with unit column stride; `ld*` (leading dimension) is
// the distance between its rows in elements and may have any sign. Sizes may be zero. Inputs and outputs of one call
// don't overlap, unless a kernel says so.
#pragma once

#include <cstdint>

namespace matgrad::kernels {

/// The most rows and columns that add_transpose takes.
constexpr int64_t kTransposeBlock = 64;

/// Loops over an n×n matrix A for forms quadratic in x (quadratic-inl.h).
template <class T>
struct QuadraticKernels {
  /// Σ x[i] A[i,j] x[j] over rows i in [first, last).
  T (*quadratic_form)(int64_t first, int64_t last, int64_t n, const T* A, int64_t lda, const T* x);
  /// What rows [first, last) of A contribute to z = (A + Aᵀ) x, for all of z; A is read once.
  void (*symmetric_product)(int64_t first, int64_t last, int64_t n, const T* A, int64_t lda, const T* x, T* z);
  /// y = (A + Aᵀ) x for `count` problems of n ≤ small, `stack_*` elements apart.
  void (*small_symmetric_products)(int64_t count, int64_t n, const T* A, int64_t lda, int64_t stack_A, const T* x,
                                   int64_t stack_x, T* y, int64_t stack_y);
  int64_t small;  ///< the largest n of small_symmetric_products: lanes of a register
  /// y += Σ_i Z[i,:] over `count` rows, in their order.
  void (*add_into)(int64_t count, int64_t n, const T* Z, int64_t ldz, T* y);
  /// out_upper = scale (upper + lowerᵀ) and out_lower = out_upperᵀ, upper being rows×columns, each at most
  /// kTransposeBlock. For a block on the diagonal of a matrix both are the same. `streaming` results bypass the cache;
  /// their rows must begin aligned to the register's size.
  void (*add_transpose)(bool streaming, int64_t rows, int64_t columns, T scale, const T* upper, const T* lower,
                        int64_t lda, T* out_upper, T* out_lower, int64_t ldo);
};

/// The most loops over a core that is scattered.
constexpr int kMostScatterLoops = 8;

/// scale core over nested loops, outermost first, with strides in the result, > 0, and in the core. In the order of the
/// loops places in the result ascend.
template <class T>
struct Scattered {
  struct Loop {
    int64_t length, stride, core_stride;
  };
  const T* core;
  T scale;
  int64_t offset;  ///< of the first entry in the result
  int depth;
  Loop loops[kMostScatterLoops];
};

/// Tensors that are small ones times identities (jacobian-inl.h).
template <class T>
struct JacobianKernels {
  /// Elements [first, last) of J, which are zero but for `count` cores that are scattered over them and added.
  /// `streaming` results bypass the cache.
  void (*scatter)(bool streaming, int64_t first, int64_t last, int count, const Scattered<T>* cores, T* J);
};

/// An elementwise function: out[i] = f(x[i]) for i < n. out may be x.
template <class T>
struct MapFunction {
  const char* name;  ///< as NumPy calls it, where NumPy has it
  void (*apply)(int64_t n, const T* x, T* out);
};

/// An elementwise function of two operands: out[i] = f(x[i·x_step], y[i·y_step]) for i < n, the steps being 0 or 1. out
/// may be an operand of step 1.
template <class T>
struct BinaryFunction {
  const char* name;  ///< as NumPy calls it
  void (*apply)(int64_t n, const T* x, int64_t x_step, const T* y, int64_t y_step, T* out);
};

/// The elementwise functions (map-inl.h). Comparisons give 0 or 1.
template <class T>
struct MapKernels {
  const MapFunction<T>* functions;
  int64_t count;
  const BinaryFunction<T>* binary;
  int64_t binary_count;
  /// out[i] = x[i] if condition[i] is not zero, else y[i]; steps as in BinaryFunction.
  void (*where)(int64_t n, const T* condition, int64_t condition_step, const T* x, int64_t x_step, const T* y,
                int64_t y_step, T* out);
};

/// Sums and products, element by element (arithmetic-inl.h). Steps are as in BinaryFunction.
template <class T>
struct ArithmeticKernels {
  /// out[i] = a x[i] + b y[i]. out may be an operand of step 1.
  void (*combine)(int64_t n, T a, const T* x, int64_t x_step, T b, const T* y, int64_t y_step, T* out);
  /// out[i] = a x[i] y[i]. out may be an operand of step 1.
  void (*multiply)(int64_t n, T a, const T* x, int64_t x_step, const T* y, int64_t y_step, T* out);
  /// out[i] = x[i] / y[i]. out may be an operand of step 1.
  void (*divide)(int64_t n, const T* x, int64_t x_step, const T* y, int64_t y_step, T* out);
  /// out[i] += x[i] y[i].
  void (*multiply_add)(int64_t n, const T* x, int64_t x_step, const T* y, int64_t y_step, T* out);
  /// out[i] = 1 / x[i]. out may be x.
  void (*reciprocal)(int64_t n, const T* x, T* out);
  /// Σ x[i].
  T (*sum)(int64_t n, const T* x);
  /// The largest, the smallest and the product of x[i], n ≥ 1; NaN if one of them is.
  T (*maximum)(int64_t n, const T* x);
  T (*minimum)(int64_t n, const T* x);
  T (*product)(int64_t n, const T* x);
  /// target = sourceᵀ, source being rows×columns.
  void (*transpose)(int64_t rows, int64_t columns, const T* source, int64_t lds, T* target, int64_t ldt);
};

/// Σ exp(x[j] − m): the sum over x[j] ≠ m, and the number of x[j] = m.
template <class T>
struct SumOfExponentials {
  T others, equal;
};

/// Sums over vectors, and the scalings that follow from them (reduce-inl.h).
template <class T>
struct ReduceKernels {
  /// Σ_j x[j] y[j].
  T (*dot)(int64_t n, const T* x, const T* y);
  /// r = scale (x − a); returns Σ_j r[j]².
  T (*difference)(int64_t n, const T* x, const T* a, T scale, T* r);
  /// The largest of x, NaN aside; −∞ if there is none.
  T (*maximum)(int64_t n, const T* x);
  /// Σ_j exp(x[j] − m).
  SumOfExponentials<T> (*sum_exp)(int64_t n, const T* x, T m);
  /// Adds the terms exp(x[i] − m[i]) of n such sums.
  void (*add_exp)(int64_t n, const T* x, const T* m, T* others, T* equal);
  /// out = exp(x − m); returns Σ_j out[j].
  T (*exp)(int64_t n, const T* x, T m, T* out);
  /// x[j] *= factor.
  void (*multiply)(int64_t n, T factor, T* x);
  /// x[j] /= divisor.
  void (*divide)(int64_t n, T divisor, T* x);
};

/// Sums of outer products; `streaming` writes them past the cache (outer-inl.h).
template <class T>
struct OuterKernels {
  /// Rows i in [first, last) of the n×n matrix out: −s sᵀ off the diagonal, diagonal[i] on it.
  void (*rank_one)(int64_t first, int64_t last, int64_t n, const T* s, const T* diagonal, T* out, bool streaming);
  /// out = c uᵀ + d vᵀ, rows×n.
  void (*rank_two)(int64_t rows, int64_t n, const T* c, const T* u, const T* d, const T* v, T* out, bool streaming);
};

/// ‖X − U V‖² with U rows×rank, V rank×columns (factorization-inl.h). "Panels" are described in gemm-inl.h: a matrix
/// in blocks of vector_bytes / sizeof(T) columns, the last one padded with zeros.
template <class T>
struct FactorizationKernels {
  /// Packs A (rows×columns) so that register v of row i is at packed[i * row + v * block]; fills up with zeros.
  void (*pack)(int64_t rows, int64_t columns, const T* A, int64_t lda, T* packed, int64_t row, int64_t block);
  /// Packs Aᵀ likewise, A being rows×columns.
  void (*pack_transposed)(int64_t rows, int64_t columns, const T* A, int64_t lda, T* packed, int64_t row,
                          int64_t block);
  /// C = scale Σ_p P_p + shift A (rows×columns); register v of row i of P_p is at panels[p * part + i * row + v *
  /// block].
  void (*unpack)(int64_t rows, int64_t columns, const T* panels, int64_t row, int64_t block, int64_t parts,
                 int64_t part, T scale, const T* A, int64_t lda, T shift, T* C, int64_t ldc);
  /// C = scale (Σ_p P_p)ᵀ + shift A (rows×columns), P_p being columns×rows and addressed as in `unpack`.
  void (*unpack_transposed)(int64_t rows, int64_t columns, const T* packed, int64_t row, int64_t block, int64_t parts,
                            int64_t part, T scale, const T* A, int64_t lda, T shift, T* C, int64_t ldc);
  /// Elements of scratch memory that `block` needs.
  int64_t residual_size;
  /// Returns Σ R ⊙ W ⊙ R, R = X − U V (W null: all ones), and adds (W ⊙ R) Vᵀ to UG and Uᵀ (W ⊙ R) to VG, where not
  /// null. V, VG (rank×columns), Vt = Vᵀ and UG (rows×rank) are panels; blocks of Vt and UG are vt_block and ug_block
  /// elements apart. Rows of Vt that fill up a block of columns must be readable and finite.
  double (*block)(int64_t rows, int64_t columns, int64_t rank, const T* X, int64_t ldx, const T* W, int64_t ldw,
                  const T* U, int64_t ldu, const T* V, const T* Vt, int64_t vt_block, T* UG, int64_t ug_block, T* VG,
                  T* residual);
};

/// Σ (X − U V)² over the stored entries of a CSR matrix X (observed-inl.h).
template <class T>
struct ObservedKernels {
  /// Returns the sum over `rows` rows, whose entries are [row_starts[i], row_starts[i + 1]), and adds the residuals'
  /// products with Vᵀ to UG and with U to VtG. U, UG and Vt = Vᵀ, VtG are row-major with `rank` columns, rank being
  /// filled up with zeros to a multiple of vector_bytes / sizeof(T).
  double (*rows32)(int64_t rows, const int32_t* row_starts, const int32_t* columns, const T* values, int64_t rank,
                   const T* U, const T* Vt, T* UG, T* VtG);
  double (*rows64)(int64_t rows, const int64_t* row_starts, const int64_t* columns, const T* values, int64_t rank,
                   const T* U, const T* Vt, T* UG, T* VtG);
};

/// A product of matrices, C = scale A diag(d) B + shift D with rows×columns C: element (i, p) of A is
/// A[i * a_row + p * a_column] and (p, j) of B is B[p * b_row + j * b_column], p < k. D may be C.
template <class T>
struct Product {
  int64_t rows, columns, k;
  const T* A;
  int64_t a_row, a_column;
  const T* B;
  int64_t b_row, b_column;
  const T* d = nullptr;  ///< all ones if it is null
  int64_t d_step = 0;
  T scale = 1;
  T* C;
  int64_t ldc;
  T shift = 0;
  const T* D = nullptr;  ///< not read if shift is 0
  int64_t ldd = 0;
  int64_t below = INT64_MAX / 2;  ///< elements (i, j) with i > j + below needn't be computed
  /// How many such products there are, and how far apart their operands are.
  int64_t count = 1;
  int64_t stack_A = 0, stack_B = 0, stack_C = 0, stack_D = 0, stack_d = 0;
};

/// Products of matrices (product-inl.h).
template <class T>
struct ProductKernels {
  /// `scratch` has room for scratch_size elements. It may be null if d is and b_column is 1, which suits small factors.
  void (*multiply)(const Product<T>& product, T* scratch);
  int64_t scratch_size;
};

/// Products of a matrix A of rows×columns and vectors (matvec-inl.h).
template <class T>
struct MatvecKernels {
  /// y[i] = Σ_j A[i,j] X[i,j], or Σ_j A[i,j] if X is null; X is one vector if ldx is 0.
  void (*dot_rows)(int64_t rows, int64_t columns, const T* A, int64_t lda, const T* X, int64_t ldx, T* y);
  /// y[j] += Σ_i w[i * w_step] A[i,j].
  void (*combine_rows)(int64_t rows, int64_t columns, const T* A, int64_t lda, const T* w, int64_t w_step, T* y);
};

/// Everything compiled for one instruction set and one precision.
template <class T>
struct Table {
  MapKernels<T> map;
  ArithmeticKernels<T> arithmetic;
  QuadraticKernels<T> quadratic;
  JacobianKernels<T> jacobian;
  ReduceKernels<T> reduce;
  OuterKernels<T> outer;
  FactorizationKernels<T> factorization;
  ObservedKernels<T> observed;
  ProductKernels<T> product;
  MatvecKernels<T> matvec;
};

/// Everything compiled for one instruction set.
struct Kernels {
  const char* isa;       ///< "baseline", "x86-64-v3", "x86-64-v4"
  int64_t vector_bytes;  ///< width of a SIMD register
  Table<float> f32;
  Table<double> f64;
};

}  // namespace matgrad::kernels
