// The nodes of expressions: immutable, interned, in index notation; equal expressions are the same node.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace matgrad::expr {

struct Node;
struct Op;

/// A counted reference to a node. As nodes are interned, references are equal if and only if their expressions are.
/// A reference may be copied and dropped by any thread.
class Expr {
 public:
  Expr() = default;
  Expr(const Expr& other);
  Expr(Expr&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  Expr& operator=(Expr other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~Expr();

  explicit operator bool() const { return node_ != nullptr; }
  const Node& operator*() const { return *node_; }
  const Node* operator->() const { return node_; }
  const Node* get() const { return node_; }
  friend bool operator==(const Expr& a, const Expr& b) { return a.node_ == b.node_; }

 private:
  friend class Pool;
  explicit Expr(const Node* counted) : node_(counted) {}
  const Node* node_ = nullptr;
};

/// The labels of a tensor's axes, one character each, whose value (not its glyph) is the label. Short ones need no
/// memory of their own.
using Labels = std::string;

/// The most labels in one product.
constexpr int kMaxLabels = 250;

/// A variable.
struct Symbol {
  std::string name;
  bool symmetric = false;
};

/// The length of an axis of a symbol, or one that has a name of its own (axis < 0): a scalar.
struct Size {
  std::string name;
  int axis = -1;
};

/// A slice in Python's sense; what is missing is the end that the sign of step says.
struct SliceBounds {
  std::optional<int64_t> start, stop;
  int64_t step = 1;
  friend bool operator==(const SliceBounds&, const SliceBounds&) = default;
};

/// How many elements a slice of an axis of that length has: a scalar.
struct SliceLength {
  SliceBounds bounds;
  Expr length;
};

/// A constant array, in C order.
struct Array {
  std::vector<int64_t> shape;
  std::variant<std::vector<float>, std::vector<double>> values;
};

/// A tensor of zeros and ones that is given by an equality of indices and never stored.
struct Identity {
  enum class Form : uint8_t {
    Delta,    ///< axes (i, j): i = j
    Slice,    ///< axes (i, j): j = start + step i
    Element,  ///< axes (j): j = start, which counts from the end if negative
    Reshape,  ///< axes (k, i₁, …, iₙ): k is (i₁, …, iₙ) ravelled in C order
  };
  Form form = Form::Delta;
  SliceBounds bounds{};  ///< of Slice and Element
};

/// A tensor of zeros and ones that is never stored: of axes (i₁, …, iₙ, j), 1 where j = index[i₁, …, iₙ], which counts
/// from the end if it is negative. Its product with a tensor selects entries, the adjoint of that adds them up again.
struct Gather {
  Expr index;
};

/// A matrix of zeros and ones: of axes (i, j), 1 where j ≤ i + offset.
struct Triangle {
  int64_t offset = 0;
};

/// node[labels]^exponent, elementwise. Where a guard is zero the whole product is zero, whatever the other factors are.
struct Factor {
  Expr node;
  Labels labels;
  double exponent = 1;
  bool guard = false;
};

/// coefficient Π factors, summed over labels that are not the result's: those are 0, 1, … ndim − 1, in the order of
/// the result's axes. A result's label in no factor is broadcast. Without factors: a number in every entry.
struct Einsum {
  double coefficient = 1;
  std::vector<Factor> factors{};
};

/// coefficient node.
struct Term {
  double coefficient = 1;
  Expr node;
};

/// A sum of at least two terms with the same axes.
struct Sum {
  std::vector<Term> terms{};
};

/// An elementwise function of operands that have the same axes (op.h).
struct Map {
  const Op* op = nullptr;
  std::vector<Expr> operands{};
};

enum class Reduction : uint8_t {
  Max,
  Min,
  Prod,
  LogSumExp,
  ArgMax,   ///< along one axis: where the largest entry is, the first of several
  ArgMin,   ///< likewise
  ArgSort,  ///< along one axis, which remains: where the entries are in ascending order; of equal ones the first is
            ///< first
};

/// A reduction along axes of the operand, given in ascending order; the others remain, in their order.
struct Reduce {
  Reduction reduction = Reduction::Max;
  Expr operand;
  Labels axes{};
};

enum class LinalgOp : uint8_t {
  Inverse,
  Det,
  LogDet,     ///< NaN where the determinant is negative
  LogAbsDet,  ///< log |det|
  SignDet,    ///< piecewise constant
  // Of the symmetric part (A + Aᵀ)/2:
  Cholesky,      ///< its factor L, L Lᵀ
  EigenValues,   ///< in ascending order
  EigenVectors,  ///< as columns
  // Of A = U diag(s) Vᵀ, the smaller of the two lengths being that of s:
  SingularValues,  ///< in descending order
  LeftVectors,     ///< U
  RightVectors,    ///< V
  PseudoInverse,
  // Of A = Q R:
  OrthogonalFactor,
  TriangularFactor,
  Exp,  ///< the power series
};

/// A function of the matrices along the operand's last two axes (linalg_op.h).
struct Linalg {
  LinalgOp op = LinalgOp::Inverse;
  Expr operand;
  double cutoff = 0;  ///< of PseudoInverse: the part of the largest singular value up to which others count as zero
};

/// One node. Made by the functions of build.h only, which bring it into normal form.
struct Node {
  using Data =
      std::variant<Symbol, Size, SliceLength, Array, Identity, Einsum, Sum, Map, Reduce, Linalg, Gather, Triangle>;

  Data data;
  std::vector<Expr> lengths;  ///< of the axes: scalar expressions
  bool symmetric;             ///< two axes, and known to equal its transpose
  uint64_t hash;              ///< of the structure: the same in every process

  Node(Data data_, std::vector<Expr> lengths_, bool symmetric_);

  int ndim() const { return int(lengths.size()); }
  template <class T>
  const T* as() const {
    return std::get_if<T>(&data);
  }

 private:
  friend class Expr;
  friend class Pool;
  mutable std::atomic<int64_t> references_ = 0;
};

/// Calls visit(child) for every expression that a node is made of, lengths of axes aside.
template <class Visit>
void for_each_operand(const Node& node, const Visit& visit) {
  if (auto* einsum = node.as<Einsum>()) {
    for (const Factor& factor : einsum->factors) visit(factor.node);
  } else if (auto* sum = node.as<Sum>()) {
    for (const Term& term : sum->terms) visit(term.node);
  } else if (auto* map = node.as<Map>()) {
    for (const Expr& operand : map->operands) visit(operand);
  } else if (auto* reduce = node.as<Reduce>()) {
    visit(reduce->operand);
  } else if (auto* linalg = node.as<Linalg>()) {
    visit(linalg->operand);
  } else if (auto* slice = node.as<SliceLength>()) {
    visit(slice->length);
  } else if (auto* gather = node.as<Gather>()) {
    visit(gather->index);
  }
}

/// All nodes that an expression is made of, each once, operands before what is made of them; the expression is last.
/// Lengths of axes are left out.
std::vector<Expr> topological_order(const std::vector<Expr>& roots);

/// The number of an einsum without factors and axes; nothing for any other expression.
std::optional<double> as_number(const Expr& e);
/// The number in every entry of an expression, which may have axes.
std::optional<double> as_full(const Expr& e);

/// The one node that is equal to this one. Only the functions of build.h call it.
Expr intern(Node::Data data, std::vector<Expr> lengths, bool symmetric = false);

/// How many nodes exist in this process.
int64_t live_nodes();

}  // namespace matgrad::expr
