// Lowering: the nodes of an expression become steps over buffers.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "expr/node.h"
#include "plan/nest.h"
#include "plan/shape.h"
#include "plan/step.h"

namespace matgrad::plan {

/// A tensor: its shape, where it starts, and its strides.
struct View {
  Place place{};
  Shape shape{};
  std::vector<int64_t> strides{};
  Operand operand() const { return {place, strides}; }
};

/// The view with its axes in another order.
View permuted(const View& view, const std::vector<int>& axes);

/// A factor of a product that is being lowered: a tensor over labels, or an identity.
struct ProductFactor {
  View view{};
  expr::Labels labels{};
  expr::Expr identity{};  ///< null if it is a tensor
  /// A Gather or Triangle; null if it is a tensor. Of a Gather, the view is the index.
  expr::Expr selection{};
  expr::Expr deferred{};  ///< what the tensor will be the value of, if it's wanted as such; null if the tensor exists
  bool guard = false;

  bool has(size_t label) const { return labels.find(char(label)) != expr::Labels::npos; }
};

/// Whether the value of a node needn't be stored for a product with vectors.
bool can_be_deferred(const expr::Expr& node);

/// A product with other factors in place of some.
struct Expanded;

/// The products among nodes that are used once, as a factor of another product.
std::set<const expr::Node*> single_products(const std::vector<expr::Expr>& nodes,
                                            const std::vector<expr::Expr>& results);

/// What is common to lowering all nodes of a program.
class Lowering {
 public:
  Lowering(const LengthTable& lengths, const Buffers& buffers) : lengths_(lengths) { plan_.buffers = buffers; }

  /// Says where the value of a node is that is an argument or an array. Where kernels couldn't read rows of it, it is
  /// copied.
  void place(const expr::Expr& node, int buffer, std::vector<int64_t> strides);
  /// Lowers a node whose operands are lowered, unless it is better lowered by the products that it is part of.
  void lower(const expr::Expr& node);
  /// Writes the values of the roots into the results, and decides where intermediate results are.
  Plan finish(const std::vector<expr::Expr>& roots);

  /// The value of a node.
  View view(const expr::Expr& node);
  /// Whether the value of a node exists.
  bool is_lowered(const expr::Expr& node) const { return views_.contains(node.get()); }

  void emit(Step step) { plan_.steps.push_back(std::move(step)); }
  /// Emits an elementwise step unless there are no elements.
  void emit(const Elementwise& step, const Lengths& lengths, const Operands& operands);
  /// A new buffer in C order.
  View new_buffer(Shape shape);
  View number(double value, Shape shape);
  /// A new buffer over labels, the last of them contiguous.
  Operand new_operand(const Lengths& lengths, const std::vector<int>& labels);
  /// A copy of an operand over labels, along those that it doesn't depend on repeated.
  Operand copied(const Lengths& lengths, const Operand& operand, const std::vector<int>& labels);
  Shape shape(const expr::Expr& node) const { return lengths_.shape(node); }

  /// Whether a product can be scattered over a target, at `to`; if `add`, beside what is scattered over it already.
  bool can_scatter(const View& target, const Lengths& lengths, const Operand& to, bool add) const;
  /// Writes or adds scale core to a target, at `to`.
  void emit_scatter(const View& target, const Lengths& lengths, double scale, Operand core, const Operand& to,
                    bool add);

  /// The factorization of a stack of matrices and its pivots.
  struct Factorization {
    Place matrices, pivots;
    int64_t count, n;
  };
  const Factorization& factorization(const expr::Expr& matrix);
  /// The parts of the decomposition of a stack of matrices, as Decompose has them; those that aren't wanted are empty.
  const std::array<View, kMaxOperands>& decomposition(Decomposition kind, const expr::Expr& matrix);
  /// Emits a step that may find what it can't compute.
  void emit_fallible(Step step) {
    plan_.can_fail = true;
    emit(std::move(step));
  }

  /// Says which expressions are lowered: the nodes, operands first, and the results among them.
  void prepare(const std::vector<expr::Expr>& nodes, const std::vector<expr::Expr>& results);
  /// Whether the value of a node isn't stored unless a product needs that.
  bool is_deferred(const expr::Expr& node) const { return can_be_deferred(node) && !stored_.contains(node.get()); }

  /// Contractions that are known, by what they are made of: where the result is, and its strides by label.
  std::map<std::string, Operand> contractions{};

 private:
  /// The last step that writes to a target if it scatters and has room for one more core, else none.
  std::vector<Step>::const_iterator find_scatter(const View& target) const;
  View lower_einsum(const expr::Expr& node);
  /// A product without sums as one product over another; nothing if it isn't one.
  std::optional<View> lower_quotient(const expr::Einsum& einsum, const Shape& shape);
  View lower_sum(const expr::Expr& node, const Shape& shape);
  /// Sets the lengths of the factors' labels.
  void set_lengths(const std::vector<expr::Factor>& factors, Lengths& lengths) const;
  /// The factors of a product; numbers among them are multiplied into the coefficient.
  std::vector<ProductFactor> product_factors(const std::vector<expr::Factor>& factors, double& coefficient);
  /// target = coefficient Π factors, or += if `add`. A sum with sparse terms among the factors is multiplied out.
  void write_terms(double coefficient, const std::vector<expr::Factor>& factors, const View& target, bool add);
  /// Puts the factors of products that are used only here in their place, so that all are contracted in the best order.
  void inline_products(Expanded& product) const;
  View lower_map(const expr::Map& map, Shape shape);
  View lower_reduce(const expr::Reduce& reduce, Shape shape);
  View lower_ordering(const expr::Reduce& reduce, Shape shape);
  View lower_linalg(const expr::Linalg& linalg, Shape shape);
  /// Remembers whether a node needs the vectors of a decomposition.
  void note_vectors(const expr::Expr& node);
  View power(const expr::Expr& node, double exponent, bool guard);
  /// Like new_buffer, but with axes in the order of another view; those along which that is repeated take no memory.
  View new_buffer_like(const View& view);
  /// The view with its axes permuted, copied into C order if it isn't in it.
  View in_order(const View& view, const std::vector<int>& axes);

  const LengthTable& lengths_;
  Plan plan_{};
  std::vector<int64_t> sizes_{};  ///< of buffers from plan_.buffers.arena() on
  int64_t largest_ = 0;           ///< of sizes_
  std::map<const expr::Node*, View> views_{};
  std::vector<expr::Expr> kept_{};        ///< what has a view, so that nothing made meanwhile takes its address
  std::set<const expr::Node*> stored_{};  ///< what could be deferred but is stored in any case
  std::set<const expr::Node*> single_products_{};  ///< that are lowered with the product that they are part of
  std::map<std::tuple<const expr::Node*, double, bool>, View> powers_{};
  std::map<const expr::Node*, Factorization> factorizations_{};
  std::map<std::pair<Decomposition, const expr::Node*>, std::array<View, kMaxOperands>> decompositions_{};
  std::set<std::pair<Decomposition, const expr::Node*>> with_vectors_{};  ///< that are wanted
};

/// Whether a node is a product with a δ or another identity between its axes, such as diag(x), or a sum with such a
/// term: few of its entries, or of the term's, differ from zero.
bool is_sparse(const expr::Expr& node);

/// coefficient Π factors, summed over labels from `shape.size()` on; `lengths` are those of all labels. It may be known
/// that the result is a symmetric matrix.
View lower_product(Lowering& lowering, double coefficient, const std::vector<ProductFactor>& factors, Shape shape,
                   const std::vector<int64_t>& lengths, bool is_symmetric = false);

/// The same, written or added to an array that exists.
void write_product(Lowering& lowering, double coefficient, const std::vector<ProductFactor>& factors,
                   const View& target, const std::vector<int64_t>& lengths, bool add);

/// The product of factors as one, over its labels that are below `ndim` or in `others`; `lengths` are those of all
/// labels.
ProductFactor joined(Lowering& lowering, double coefficient, std::vector<ProductFactor> factors, size_t ndim,
                     const std::vector<ProductFactor>& others, const std::vector<int64_t>& lengths);

/// The factors of a product of which not all identities can be substituted, with parts of it computed, so that fewer
/// are left; `lengths` become those of the labels that are left.
std::vector<ProductFactor> shortened(Lowering& lowering, const std::vector<ProductFactor>& factors, size_t ndim,
                                     std::vector<int64_t>& lengths);

/// Whether one of the factors is a Gather or a Triangle.
bool has_selection(const std::vector<ProductFactor>& factors);

/// A product with such factors, in a new buffer, or written or added to a target.
View lower_selection(Lowering& lowering, double coefficient, std::vector<ProductFactor> factors, Shape shape,
                     const std::vector<int64_t>& lengths);
void write_selection(Lowering& lowering, double coefficient, std::vector<ProductFactor> factors, const View& target,
                     const std::vector<int64_t>& lengths, bool add);

/// A product of strided tensors over labels; the result's labels are those that it depends on.
struct Product {
  Lengths lengths{};
  struct Factor : Operand {
    expr::Expr deferred{};  ///< what it is the value of, if only its offset and strides are known; else null
  };
  std::vector<Factor> factors{};
  double coefficient = 1;
  Operand result{};
  bool is_final = true;       ///< whether the result stays as it is
  bool is_symmetric = false;  ///< whether it is known that the result is a symmetric matrix
};

/// Emits the steps that contract a product into its result.
void lower_contraction(Lowering& lowering, Product product);

/// scale Σ matrix other over the labels that aren't kept, written to `target`, or to a new buffer if that is null, for
/// a matrix that is deferred and isn't stored for it. Nothing if it has to be stored.
std::optional<Operand> multiply_deferred(Lowering& lowering, const Lengths& lengths, const Product::Factor& matrix,
                                         const Product::Factor& other, Set keeps, double scale, const Operand* target);

/// target = scale node if the node is the sum of a tensor and of itself with two axes exchanged, along one of which it
/// and the target are contiguous; else returns false.
bool write_symmetrized(Lowering& lowering, const expr::Expr& node, double scale, const View& target);

}  // namespace matgrad::plan
