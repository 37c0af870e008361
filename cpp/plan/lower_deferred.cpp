// Factors of products that aren't stored if all that is wanted are their products with vectors: the inverse of a
// matrix, for which a system of equations is solved, and the sum of a matrix and its transpose, which reads it once.
#include <algorithm>
#include <bit>
#include <limits>

#include "expr/build.h"
#include "plan/lower.h"

namespace matgrad::plan {

using namespace expr;

namespace {

/// The sum of a tensor and of itself with two axes exchanged.
struct SymmetrizedTensor {
  Expr tensor;
  int first, second;
};

/// Axes a < b of which an einsum is its only factor with those exchanged.
std::optional<SymmetrizedTensor> exchanged(const Expr& node) {
  const auto* einsum = node->as<Einsum>();
  if (einsum == nullptr || einsum->coefficient != 1 || einsum->factors.size() != 1) return std::nullopt;
  const Factor& only = einsum->factors[0];
  if (only.exponent != 1 || only.guard || only.node->ndim() != node->ndim()) return std::nullopt;
  Labels labels = labels_from(0, node->ndim());
  std::vector<int> moved;
  for (int axis = 0; axis < node->ndim(); ++axis) {
    if (only.labels[size_t(axis)] != labels[size_t(axis)]) moved.push_back(axis);
  }
  if (moved.size() != 2) return std::nullopt;
  std::swap(labels[size_t(moved[0])], labels[size_t(moved[1])]);
  if (only.labels != labels) return std::nullopt;
  return SymmetrizedTensor{only.node, moved[0], moved[1]};
}

std::optional<SymmetrizedTensor> as_symmetrized(const Expr& node) {
  const auto* sum = node->as<Sum>();
  if (sum == nullptr || sum->terms.size() != 2) return std::nullopt;
  for (size_t k : {0, 1}) {
    if (sum->terms[k].coefficient != 1) return std::nullopt;
    const auto found = exchanged(sum->terms[k].node);
    if (found && found->tensor == sum->terms[1 - k].node) return found;
  }
  return std::nullopt;
}

bool is_inverse(const Expr& node) {
  const auto* linalg = node->as<Linalg>();
  return linalg && linalg->op == LinalgOp::Inverse;
}

/// A tensor, and its two axes, along the second of which it is contiguous.
struct Matrix {
  View view;
  size_t row, column;
};

/// The matrix that is added to its transpose, if it is contiguous along rows or columns.
std::optional<Matrix> contiguous_matrix(Lowering& lowering, const SymmetrizedTensor& sum) {
  Matrix matrix{lowering.view(sum.tensor), size_t(sum.first), size_t(sum.second)};
  for (int turn = 0; turn < 2; ++turn) {
    if (matrix.view.strides[matrix.column] == 1) return matrix;
    std::swap(matrix.row, matrix.column);
  }
  return std::nullopt;
}

Set bit(int label) {
  return Set(1) << label;
}

/// The label of each axis of a deferred factor, −1 for those of length 1; nothing if an axis isn't one label alone.
std::optional<std::vector<int>> axis_labels(const Shape& shape, const Lengths& lengths, const Operand& factor) {
  if (factor.place.offset != 0) return std::nullopt;
  const auto strides = contiguous_strides(shape);
  std::vector<int> result(shape.size(), -1);
  Set rest = factor.labels();
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] == 1) continue;
    for_each_member(rest, [&](int label) {
      const bool is_it = factor.strides[size_t(label)] == strides[axis] && lengths[size_t(label)] == shape[axis];
      if (is_it && result[axis] < 0) result[axis] = label;
    });
    if (result[axis] < 0) return std::nullopt;
    rest &= ~bit(result[axis]);
  }
  if (rest != 0) return std::nullopt;
  return result;
}

/// A deferred matrix times a tensor, over one of the matrix's two labels; others that it has are those of a batch.
struct DeferredProduct {
  Expr node;
  std::vector<int> labels;  ///< of the matrix's axes
  size_t first, second;     ///< its axes as a matrix
  bool transposed;          ///< whether the sum is over the first of them
  Set batch;

  int summed() const { return labels[transposed ? first : second]; }
  int remaining() const { return labels[transposed ? second : first]; }
};

std::optional<DeferredProduct> as_product(const Shape& shape, const Lengths& lengths, const Product::Factor& matrix,
                                          const Product::Factor& other, Set keeps) {
  const auto labels = axis_labels(shape, lengths, matrix);
  if (!labels) return std::nullopt;
  DeferredProduct product{matrix.deferred, *labels, shape.size() - 2, shape.size() - 1, false, 0};
  if (const auto sum = as_symmetrized(matrix.deferred)) {
    product.first = size_t(sum->first);
    product.second = size_t(sum->second);
  }
  for (bool transposed : {false, true}) {
    product.transposed = transposed;
    if (product.summed() < 0 || product.remaining() < 0) return std::nullopt;
    const Set summed = bit(product.summed()), remaining = bit(product.remaining());
    product.batch = matrix.labels() & ~summed & ~remaining;
    const bool fits = (other.labels() & (summed | remaining)) == summed && !(keeps & summed) && (keeps & remaining) &&
                      (product.batch & ~keeps) == 0;
    if (fits) return product;
  }
  return std::nullopt;
}

std::vector<int> without(std::vector<int> labels, Set dropped) {
  std::erase_if(labels, [&](int label) { return label < 0 || (dropped >> label & 1); });
  return labels;
}

/// Whether an operand is contiguous over these labels, in that order.
bool is_contiguous(const Lengths& lengths, const Operand& operand, const std::vector<int>& labels) {
  int64_t stride = 1;
  for (size_t k = labels.size(); k-- > 0; stride *= lengths[size_t(labels[k])]) {
    if (operand.strides[size_t(labels[k])] != stride) return false;
  }
  return true;
}

Operand solve(Lowering& lowering, const DeferredProduct& product, const Lengths& lengths, const Operand& other,
              double scale, const Operand* target) {
  const auto matrix = lowering.factorization(product.node->as<Linalg>()->operand);
  const int summed = product.summed(), remaining = product.remaining();
  std::vector<int> labels = without(product.labels, bit(summed) | bit(remaining));
  int64_t columns = 1;
  for (int label : by_descending_stride(other, other.labels() & ~bit(summed) & ~product.batch)) {
    labels.push_back(label);
    columns *= lengths[size_t(label)];
  }
  labels.push_back(remaining);
  const bool fits = target != nullptr && is_contiguous(lengths, *target, labels);
  const Operand solution = fits ? *target : lowering.new_operand(lengths, labels);
  Operand copy = solution;
  std::swap(copy.strides[size_t(summed)], copy.strides[size_t(remaining)]);
  lowering.emit({.op = RowOp::Scale, .a = target == nullptr ? 1 : scale}, lengths, {&copy, &other});
  lowering.emit_fallible(Solve{.count = matrix.count,
                               .n = matrix.n,
                               .columns = columns,
                               .transposed = product.transposed,
                               .places = {solution.place, matrix.matrices, matrix.pivots}});
  if (target == nullptr || fits) return solution;
  lowering.emit({.op = RowOp::Scale}, lengths, {target, &solution});
  return *target;
}

std::optional<Operand> multiply_symmetrized(Lowering& lowering, const DeferredProduct& product, const Lengths& lengths,
                                            const Operand& other, double scale, const Operand* target) {
  const int summed = product.summed(), remaining = product.remaining();
  const auto matrix = contiguous_matrix(lowering, *as_symmetrized(product.node));
  if (!matrix || (other.labels() & ~bit(summed) & ~product.batch) != 0) return std::nullopt;
  Operand A{matrix->view.place, std::vector<int64_t>(lengths.size(), 0)};
  for (size_t axis = 0; axis < product.labels.size(); ++axis) {
    if (product.labels[axis] >= 0) A.strides[size_t(product.labels[axis])] = matrix->view.strides[axis];
  }
  const auto batch = without(product.labels, bit(summed) | bit(remaining));
  Operand x = other;
  if (x.strides[size_t(summed)] != 1) {
    std::vector<int> labels = by_descending_stride(other, other.labels() & ~bit(summed));
    labels.push_back(summed);
    x = lowering.copied(lengths, other, labels);
  }
  const bool fits = target != nullptr && target->strides[size_t(remaining)] == 1;
  std::vector<int> labels = batch;
  labels.push_back(remaining);
  const Operand z = fits ? *target : lowering.new_operand(lengths, labels);
  SymmetricProduct step{.n = lengths[size_t(summed)],
                        .lda = matrix->view.strides[matrix->row],
                        .scale = target == nullptr || fits ? scale : 1,
                        .places = {z.place, A.place, x.place}};
  step.batch = make_nest(lengths, batch, {&z, &A, &x});
  lowering.emit(step);
  if (target == nullptr || fits) return z;
  lowering.emit({.op = RowOp::Scale, .a = scale}, lengths, {target, &z});
  return *target;
}

}  // namespace

bool can_be_deferred(const Expr& node) {
  return is_inverse(node) || as_symmetrized(node);
}

namespace {

constexpr double kStored = std::numeric_limits<double>::infinity();

/// The factor other than `from` that has a label, if there is one only.
std::optional<size_t> neighbour(const Einsum& einsum, size_t from, char label) {
  std::optional<size_t> found;
  for (size_t k = 0; k < einsum.factors.size(); ++k) {
    if (k == from || einsum.factors[k].labels.find(label) == Labels::npos) continue;
    if (found) return std::nullopt;
    found = k;
  }
  return found;
}

/// The fewest columns by which a matrix, factor `matrix` of a product, need be multiplied if its product with the
/// factors that follow from `label` on is made: the narrowest place of the chain that they are.
double columns_from(const LengthTable& lengths, const Einsum& einsum, int ndim, size_t matrix, char label) {
  const Labels& own = einsum.factors[matrix].labels;
  double narrowest = kStored;
  size_t from = matrix;
  for (size_t steps = 0; steps < einsum.factors.size() && int(label) >= ndim; ++steps) {
    const auto next = neighbour(einsum, from, label);
    if (!next || *next == matrix) break;
    const Factor& factor = einsum.factors[*next];
    double width = 1;
    std::optional<char> following;
    int others = 0;
    for (size_t axis = 0; axis < factor.labels.size(); ++axis) {
      const char other = factor.labels[axis];
      if (other == label || (own.find(other) != Labels::npos && other != own.back() && other != own[own.size() - 2])) {
        continue;
      }
      if (from == matrix && own.find(other) != Labels::npos) return kStored;
      width *= double(lengths.length(factor.node->lengths[axis]));
      following = other;
      ++others;
    }
    narrowest = std::min(narrowest, width);
    if (others != 1) break;
    from = *next;
    label = *following;
  }
  return narrowest;
}

/// With how many columns the inverse that is factor k of a product is multiplied.
double columns_beside(const LengthTable& lengths, const Einsum& einsum, int ndim, size_t k) {
  const Factor& inverse = einsum.factors[k];
  const char row = inverse.labels[inverse.labels.size() - 2], column = inverse.labels.back();
  if (inverse.exponent != 1 || inverse.guard || row == column) return kStored;
  return std::min(columns_from(lengths, einsum, ndim, k, row), columns_from(lengths, einsum, ndim, k, column));
}

}  // namespace

void Lowering::prepare(const std::vector<Expr>& nodes, const std::vector<Expr>& results) {
  single_products_ = single_products(nodes, results);
  for (const Expr& node : nodes) note_vectors(node);
  std::map<const Node*, double> columns;  // with which inverses are multiplied
  auto use = [&](const Expr& inverse, double count) {
    if (is_inverse(inverse)) columns[inverse.get()] += count;
  };
  for (const Expr& result : results) use(result, kStored);
  for (const Expr& node : nodes) {
    const auto* einsum = node->as<Einsum>();
    if (einsum == nullptr) {
      for_each_operand(*node, [&](const Expr& operand) { use(operand, kStored); });
      continue;
    }
    for (size_t k = 0; k < einsum->factors.size(); ++k) {
      if (is_inverse(einsum->factors[k].node))
        use(einsum->factors[k].node, columns_beside(lengths_, *einsum, node->ndim(), k));
    }
  }
  // To solve for twice as many columns as the matrix has takes longer than to invert it and multiply.
  for (const auto& [node, count] : columns) {
    if (count >= 2 * double(lengths_.length(node->lengths.back()))) stored_.insert(node);
  }
}

std::optional<Operand> multiply_deferred(Lowering& lowering, const Lengths& lengths, const Product::Factor& matrix,
                                         const Product::Factor& other, Set keeps, double scale, const Operand* target) {
  if (!matrix.deferred || other.deferred || lowering.is_lowered(matrix.deferred)) return std::nullopt;
  const auto product = as_product(lowering.shape(matrix.deferred), lengths, matrix, other, keeps);
  if (!product) return std::nullopt;
  if (is_inverse(matrix.deferred)) return solve(lowering, *product, lengths, other, scale, target);
  return multiply_symmetrized(lowering, *product, lengths, other, scale, target);
}

bool write_symmetrized(Lowering& lowering, const Expr& node, double scale, const View& target) {
  const auto sum = as_symmetrized(node);
  if (!sum) return false;
  const auto matrix = contiguous_matrix(lowering, *sum);
  if (!matrix) return false;
  // The sum is the same either way round.
  size_t row = matrix->row, column = matrix->column;
  if (target.strides[column] != 1) std::swap(row, column);
  if (target.strides[column] != 1 || element_count(target.shape) == 0) return false;
  const View& A = matrix->view;
  SymmetricSum step{.n = A.shape[row],
                    .ldz = target.strides[row],
                    .lda = A.strides[matrix->row],
                    .scale = scale,
                    .places = {target.place, A.place}};
  std::vector<int> batch;
  for (size_t axis = 0; axis < A.shape.size(); ++axis) {
    if (axis != row && axis != column) batch.push_back(int(axis));
  }
  const Operand to = target.operand(), from = A.operand();
  step.batch = make_nest(A.shape, batch, {&to, &from});
  lowering.emit(step);
  return true;
}

}  // namespace matgrad::plan
