// The closed forms: derivatives of well-known matrix functions, on arrays and stacks of arrays.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace matgrad {

/// The most operands, and the most results, that a closed form has.
constexpr int kMaxInputs = 4;
constexpr int kMaxOutputs = 3;

/// One operand or result over a whole stack. Element (i, j) of problem p is data[offset(p) + i * row_stride + j]:
/// the last axis of an operand has unit stride, its second-last has row_stride, results are contiguous.
template <class T>
struct Operand {
  T* data = nullptr;
  int64_t row_stride = 0;
  /// Distance in elements between neighbours along each axis of the stack; 0 where the operand is broadcast.
  std::vector<int64_t> stack_strides{};
  /// Whether it is a shared mapping of a file, which may be larger than memory: its pages are released once read.
  bool is_mapped = false;

  /// Where problem `index` of a stack of this shape (C order) starts.
  T* at(int64_t index, const std::vector<int64_t>& stack_shape) const {
    if (stack_shape.size() == 1) return data + index * stack_strides[0];
    T* p = data;
    for (std::size_t axis = stack_shape.size(); axis-- > 0; index /= stack_shape[axis]) {
      p += index % stack_shape[axis] * stack_strides[axis];
    }
    return p;
  }
};

/// Which entries of a sparse matrix are stored, in compressed rows: those of row i are in columns
/// columns[row_starts[i]] to columns[row_starts[i + 1] - 1]. Indices are int32_t, or int64_t if `wide`.
struct SparsePattern {
  const void* row_starts = nullptr;
  const void* columns = nullptr;
  bool wide = false;
};

/// A stack of problems of one closed form.
template <class T>
struct Problems {
  std::vector<int64_t> stack_shape{};  ///< empty for a single problem
  int64_t count = 1;                   ///< product of stack_shape
  std::array<int64_t, 4> sizes{};      ///< the lengths named in the form's signature, in order of appearance
  T parameter = 0;                     ///< a number that some forms take, such as l2
  SparsePattern pattern{};             ///< where an operand is sparse
  std::array<Operand<const T>, kMaxInputs> in{};
  std::array<Operand<T>, kMaxOutputs> out{};

  const T* input(int which, int64_t index) const { return in[which].at(index, stack_shape); }
  T* output(int which, int64_t index) const { return out[which].at(index, stack_shape); }
};

namespace closed_form {

/// xᵀA x. Signature A(n,n), x(n) -> ().
template <class T>
void quadratic_form(const Problems<T>& problems);

/// ∂(xᵀA x)/∂x = (A + Aᵀ) x. Signature A(n,n), x(n) -> (n). Reads A once.
template <class T>
void quadratic_form_gradient(const Problems<T>& problems);

/// ∂²(xᵀA x)/∂x∂x = A + Aᵀ. Signature A(n,n) -> (n,n).
template <class T>
void quadratic_form_hessian(const Problems<T>& problems);

/// ∂(A x)[i]/∂A[k,l] = δ[i,k] x[l]. Signature A(m,n), x(n) -> (m,m,n).
template <class T>
void matvec_jacobian(const Problems<T>& problems);

/// ∂(AB)[i,j]/∂A[p,q] = δ[i,p] B[q,j] and ∂(AB)[i,j]/∂B[p,q] = A[i,p] δ[j,q].
/// Signature A(m,k), B(k,n) -> (m,n,m,k), (m,n,k,n).
template <class T>
void matmul_jacobian(const Problems<T>& problems);

/// ∂(RᵀR)[p,q]/∂R[i,j] = δ[j,p] R[i,q] + δ[j,q] R[i,p]. Signature R(m,n) -> (n,n,m,n).
template <class T>
void gram_jacobian(const Problems<T>& problems);

/// ∂(aᵀx xᵀb)/∂x = (bᵀx) a + (aᵀx) b. Signature a(n), b(n), x(n) -> (n).
template <class T>
void bilinear_form_gradient(const Problems<T>& problems);

/// ∂²(aᵀx xᵀb)/∂x² = a bᵀ + b aᵀ. Signature a(n), b(n) -> (n,n).
template <class T>
void bilinear_form_hessian(const Problems<T>& problems);

/// ∂‖x − a‖/∂x = r = (x − a)/‖x − a‖; 0 at x = a. Signature x(n), a(n) -> (n).
template <class T>
void distance_gradient(const Problems<T>& problems);

/// ∂²‖x − a‖/∂x² = (I − r rᵀ)/‖x − a‖; 0 at x = a. Signature x(n), a(n) -> (n,n).
template <class T>
void distance_hessian(const Problems<T>& problems);

/// log Σ exp(x[i]); −∞ for an empty vector. Signature x(n) -> ().
template <class T>
void logsumexp(const Problems<T>& problems);

/// ∂ log Σ exp(x[i])/∂x = s = exp(x)/Σ exp(x[i]). Signature x(n) -> (n).
template <class T>
void logsumexp_gradient(const Problems<T>& problems);

/// ∂² log Σ exp(x[i])/∂x² = diag(s) − s sᵀ. Signature x(n) -> (n,n).
template <class T>
void logsumexp_hessian(const Problems<T>& problems);

/// f = ‖X − U V‖². Signature X(m,n), U(m,r), V(r,n) -> (). X − U V is never stored.
template <class T>
void factorization_loss(const Problems<T>& problems);

/// ∂f/∂U = −2 (X − U V) Vᵀ and ∂f/∂V = −2 Uᵀ (X − U V). Signature X(m,n), U(m,r), V(r,n) -> (m,r), (r,n).
template <class T>
void factorization_gradient(const Problems<T>& problems);

/// f = Σ W ⊙ (X − U V)² + l2 (‖U‖² + ‖V‖²) and its gradients by U and V; without weights W is 1, parameter is l2.
/// Signature X(m,n), U(m,r), V(r,n), weights?(m,n) -> (), (m,r), (r,n).
template <class T>
void factorization_value_and_gradient(const Problems<T>& problems);

/// factorization_value_and_gradient for a sparse X, summed over its stored entries only: values(e) are those of
/// problems.pattern. Signature values(e), U(m,r), V(r,n) -> (), (m,r), (r,n). Throws std::invalid_argument if the
/// pattern is not one of e entries in an m×n matrix; results are then untouched.
template <class T>
void factorization_observed(const Problems<T>& problems);

/// 2 UᵀU, the core of ∂²‖X − U V‖²/∂V∂V = 2UᵀU ⊗ I. Signature U(n,r) -> (r,r). Symmetric to the bit.
template <class T>
void factorization_hessian(const Problems<T>& problems);

/// C v: the core of a structured derivative C ⊗ I times an array. Signature C(p,k), v(k,m) -> (p,m).
template <class T>
void core_product(const Problems<T>& problems);

}  // namespace closed_form
}  // namespace matgrad
