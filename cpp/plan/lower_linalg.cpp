// Lowering functions of matrices: those that need the same factorization of a matrix share it.
#include <algorithm>
#include <numeric>

#include "expr/build.h"
#include "expr/linalg_op.h"
#include "plan/lower.h"

namespace matgrad::plan {

using namespace expr;

namespace {

/// Which decomposition has a function's value, and as which of its parts.
struct Part {
  Decomposition kind;
  size_t part;
  bool is_vectors;
};

std::optional<Part> part_of(LinalgOp op) {
  switch (op) {
    case LinalgOp::Cholesky:
      return Part{Decomposition::Cholesky, 0, false};
    case LinalgOp::EigenValues:
      return Part{Decomposition::Eigen, 1, false};
    case LinalgOp::EigenVectors:
      return Part{Decomposition::Eigen, 0, true};
    case LinalgOp::SingularValues:
      return Part{Decomposition::Singular, 1, false};
    case LinalgOp::LeftVectors:
      return Part{Decomposition::Singular, 2, true};
    case LinalgOp::RightVectors:
      return Part{Decomposition::Singular, 3, true};
    case LinalgOp::OrthogonalFactor:
      return Part{Decomposition::Orthogonal, 0, false};
    case LinalgOp::TriangularFactor:
      return Part{Decomposition::Orthogonal, 1, false};
    case LinalgOp::Exp:
      return Part{Decomposition::Exponential, 0, false};
    default:
      return std::nullopt;
  }
}

/// V diag(1/s) Uᵀ over the singular values that are large enough.
Expr pseudoinverse(const Linalg& linalg) {
  const Expr& A = linalg.operand;
  const int stack = A->ndim() - 2;
  const Expr s = expr::linalg(LinalgOp::SingularValues, A);
  const Expr largest = broadcast(reduce(Reduction::Max, s, Labels{char(stack)}), labels_from(0, stack), s->lengths);
  const Expr counts = map("greater", {s, linalg.cutoff * largest});
  const Labels own = labels_from(0, stack);
  const char i = char(stack), j = char(stack + 1), k = char(stack + 2);
  std::vector<Expr> lengths = A->lengths;
  std::swap(lengths[size_t(stack)], lengths[size_t(stack) + 1]);
  return einsum(1,
                {{expr::linalg(LinalgOp::RightVectors, A), own + i + k},
                 {s, own + k, -1, true},
                 {counts, own + k, 1, true},
                 {expr::linalg(LinalgOp::LeftVectors, A), own + j + k}},
                lengths);
}

}  // namespace

const Lowering::Factorization& Lowering::factorization(const Expr& matrix) {
  const auto [known, is_new] = factorizations_.insert({matrix.get(), {}});
  if (!is_new) return known->second;
  const View stack = view(matrix), copy = new_buffer(stack.shape);
  const Operand to = copy.operand(), from = stack.operand();
  emit({.op = RowOp::Scale}, stack.shape, {&to, &from});
  Shape shape = stack.shape;
  const int64_t n = shape.back();
  shape.pop_back();
  const View pivots = new_buffer(shape);
  shape.pop_back();
  known->second = {copy.place, pivots.place, element_count(shape), n};
  emit(Factorize{known->second.count, n, {copy.place, pivots.place}});
  return known->second;
}

const std::array<View, kMaxOperands>& Lowering::decomposition(Decomposition kind, const Expr& matrix) {
  const auto [known, is_new] = decompositions_.insert({{kind, matrix.get()}, {}});
  auto& parts = known->second;
  if (!is_new) return parts;
  const View operand = view(matrix);
  Shape stack = operand.shape;
  Decompose step{.kind = kind};
  step.columns = stack.back();
  stack.pop_back();
  step.rows = stack.back();
  stack.pop_back();
  step.count = element_count(stack);
  step.vectors = with_vectors_.contains({kind, matrix.get()}) || kind == Decomposition::Cholesky ||
                 kind == Decomposition::Orthogonal || kind == Decomposition::Exponential;
  const int64_t m = step.rows, n = step.columns, k = step.values();
  // A new part, a matrix in column order.
  auto add = [&](size_t part, int64_t rows, int64_t columns) {
    Shape shape = stack;
    shape.insert(shape.end(), {columns, rows});
    std::vector<int> turned(shape.size());
    std::iota(turned.begin(), turned.end(), 0);
    std::swap(turned[stack.size()], turned[stack.size() + 1]);
    parts[part] = permuted(new_buffer(shape), turned);
  };
  auto add_values = [&](size_t part) {
    Shape shape = stack;
    shape.push_back(k);
    parts[part] = new_buffer(shape);
  };
  add(0, m, n);
  const Operand to = parts[0].operand(), from = operand.operand();
  emit({.op = RowOp::Scale}, operand.shape, {&to, &from});
  if (kind == Decomposition::Eigen || kind == Decomposition::Singular) add_values(1);
  if (kind == Decomposition::Orthogonal) add(1, k, n);
  if (kind == Decomposition::Singular && step.vectors) {
    add(2, m, k);
    add(3, k, n);
    std::swap(parts[3].shape[stack.size()], parts[3].shape[stack.size() + 1]);
    std::swap(parts[3].strides[stack.size()], parts[3].strides[stack.size() + 1]);
  }
  // Of Q there are no more columns than rows.
  if (kind == Decomposition::Orthogonal) parts[0].shape.back() = k;
  for (size_t part = 0; part < kMaxOperands && !parts[part].shape.empty(); ++part) {
    step.places[part] = parts[part].place;
    step.operands = int(part) + 1;
  }
  emit_fallible(step);
  return parts;
}

void Lowering::note_vectors(const Expr& node) {
  const auto* linalg = node->as<Linalg>();
  if (linalg == nullptr) return;
  if (linalg->op == LinalgOp::PseudoInverse) with_vectors_.insert({Decomposition::Singular, linalg->operand.get()});
  const auto part = part_of(linalg->op);
  if (part && part->is_vectors) with_vectors_.insert({part->kind, linalg->operand.get()});
}

View Lowering::lower_linalg(const Linalg& linalg, Shape shape) {
  if (const auto part = part_of(linalg.op)) return decomposition(part->kind, linalg.operand)[part->part];
  if (linalg.op == LinalgOp::PseudoInverse) {
    if (element_count(shape) == 0) return new_buffer(std::move(shape));
    return view(pseudoinverse(linalg));
  }
  const Factorization lu = factorization(linalg.operand);
  const View result = new_buffer(std::move(shape));
  if (linalg.op == LinalgOp::Inverse) {
    emit_fallible(Invert{lu.count, lu.n, {result.place, lu.matrices, lu.pivots}});
  } else {
    emit(Determinant{linalg.op, lu.count, lu.n, {result.place, lu.matrices, lu.pivots}});
  }
  return result;
}

}  // namespace matgrad::plan
