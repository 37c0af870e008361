// Reads a product over index labels as matrix algebra, by eliminating the summed labels, the cheapest first.
#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>

#include "expr/chain.h"

namespace matgrad::expr {
namespace {

using Kind = Chain::Kind;

/// A matrix on its way into a chain, and the labels of its rows and columns.
struct Matrix {
  Chain chain;
  char row, column;

  bool has(char label) const { return row == label || column == label; }
  char other(char label) const { return row == label ? column : row; }
};

/// How much of it is transposed: matrices above all, then vectors that have no name.
int count_transposes(const Chain& c) {
  int count = !c.transposed ? 0 : c.ndim == 2 ? 2 : c.kind == Kind::Factor ? 0 : 1;
  for (const Chain& part : c.parts) count += count_transposes(part);
  return count;
}

bool divides(const Chain& c) {
  return c.kind == Kind::Factor && c.factor->exponent < 0;
}

class Reader {
 public:
  Reader(const std::vector<const Factor*>& factors, const Labels& labels, const std::vector<Expr>& lengths)
      : labels_(labels) {
    for (size_t k = 0; k < labels.size(); ++k) length_[labels[k]] = lengths[k];
    for (size_t k = 0; k < factors.size(); ++k) {
      order_[factors[k]] = int(k);
      for (size_t axis = 0; axis < factors[k]->labels.size(); ++axis) {
        Expr& length = length_[factors[k]->labels[axis]];
        if (!length) length = factors[k]->node->lengths[axis];
      }
    }
    for (const Factor* f : factors) add(f);
  }

  std::optional<Chain> read() {
    if (failed_) return std::nullopt;
    while (eliminate()) {
    }
    for (const auto& [label, unused] : length_) {
      if (is_summed(label) && is_used(label)) return std::nullopt;
    }
    if (!special_.empty()) return std::nullopt;
    std::optional<Chain> chain = result();
    if (!chain || scalars_.empty()) return chain;
    if (scalars_.size() > 1 || chain->kind != Kind::Ones || !labels_.empty()) return std::nullopt;
    return scalars_[0];
  }

 private:
  bool is_summed(char label) const { return labels_.find(label) == Labels::npos; }
  bool is_used(char label) const {
    return vectors_.contains(label) || std::ranges::any_of(matrices_, [&](const Matrix& m) { return m.has(label); }) ||
           std::ranges::any_of(special_, [&](const Factor* f) { return f->labels.find(label) != Labels::npos; });
  }

  void add(const Factor* f) {
    Chain leaf{.kind = Kind::Factor, .ndim = int(f->labels.size()), .factor = f};
    const auto* identity = f->node->as<Identity>();
    if (identity != nullptr && identity->form != Identity::Form::Delta) {
      special_.push_back(f);
    } else if (f->labels.size() == 1) {
      vectors_[f->labels[0]].push_back(leaf);
    } else if (f->labels.size() != 2) {
      failed_ = true;
    } else if (identity != nullptr) {
      matrices_.push_back(
          {{.kind = Kind::Identity, .ndim = 2, .lengths = {f->node->lengths[0]}}, f->labels[0], f->labels[1]});
    } else if (f->labels[0] == f->labels[1]) {
      vectors_[f->labels[0]].push_back(make_chain(Kind::Diagonal, 1, {leaf}));
    } else {
      matrices_.push_back({leaf, f->labels[0], f->labels[1]});
    }
  }

  /// Matrices that have a label.
  std::vector<size_t> at(char label) const {
    std::vector<size_t> found;
    for (size_t k = 0; k < matrices_.size(); ++k) {
      if (matrices_[k].has(label)) found.push_back(k);
    }
    return found;
  }

  bool has_special(char label) const {
    return std::ranges::any_of(special_, [&](const Factor* f) { return f->labels.find(label) != Labels::npos; });
  }

  Matrix take_matrix(size_t k) {
    Matrix m = std::move(matrices_[k]);
    matrices_.erase(matrices_.begin() + std::ptrdiff_t(k));
    return m;
  }

  /// All vectors along a label, multiplied; ones if there are none.
  Chain take_vector(char label) {
    const auto found = vectors_.extract(label);
    if (found.empty()) return {.kind = Kind::Ones, .ndim = 1, .lengths = {length_[label]}};
    return elementwise_product(found.mapped());
  }

  static Chain with_rows(const Matrix& m, char row) { return m.row == row ? m.chain : transposed(m.chain); }

  /// Applies one rule. Returns whether there was one that applies.
  bool eliminate() {
    using Rule = bool (Reader::*)(char);
    static constexpr Rule kRules[] = {
        &Reader::select, &Reader::stack_columns, &Reader::apply_to_vector, &Reader::multiply_alike, &Reader::contract,
        &Reader::merge,  &Reader::kronecker,     &Reader::contract_scaled, &Reader::close,          &Reader::expose};
    for (const Rule rule : kRules) {
      for (const auto& [label, unused] : length_) {
        if ((this->*rule)(label)) return true;
      }
    }
    return false;
  }

  /// x[1:], X[:, 0]: a slice or an entry along a label that nothing else shares.
  bool select(char label) {
    if (!is_summed(label)) return false;
    for (size_t k = 0; k < special_.size(); ++k) {
      const Factor* f = special_[k];
      const auto& identity = *f->node->as<Identity>();
      const bool entry = identity.form == Identity::Form::Element;
      if ((!entry && identity.form != Identity::Form::Slice) || f->labels.back() != label) continue;
      const auto found = at(label);
      const bool vector = vectors_.contains(label);
      if (found.size() + size_t(vector) != 1) continue;
      special_.erase(special_.begin() + std::ptrdiff_t(k));
      if (has_special(label)) {
        special_.insert(special_.begin() + std::ptrdiff_t(k), f);
        continue;
      }
      Chain selected{.kind = entry ? Kind::Entry : Kind::Slice, .bounds = identity.bounds};
      if (vector) {
        selected.ndim = entry ? 0 : 1;
        selected.parts = {take_vector(label)};
        if (entry) {
          scalars_.push_back(std::move(selected));
        } else {
          vectors_[f->labels[0]].push_back(std::move(selected));
        }
        return true;
      }
      Matrix m = take_matrix(found[0]);
      selected.ndim = entry ? 1 : 2;
      selected.axis = m.row == label ? 0 : 1;
      selected.parts = {m.chain};
      if (entry) {
        vectors_[m.other(label)].push_back(std::move(selected));
      } else {
        add_matrix(
            {std::move(selected), m.row == label ? f->labels[0] : m.row, m.row == label ? m.column : f->labels[0]});
      }
      return true;
    }
    return false;
  }

  /// vec(X), and a vector reshaped to a matrix.
  bool stack_columns(char label) {
    for (size_t k = 0; k < special_.size(); ++k) {
      const Factor* f = special_[k];
      if (f->labels.size() != 3 || f->node->as<Identity>()->form != Identity::Form::Reshape) continue;
      const char whole = f->labels[0], row = f->labels[1], column = f->labels[2];
      const auto rows = at(row), columns = at(column), wholes = at(whole);
      auto is_alone = [&](char c) {
        return std::ranges::count_if(special_, [&](const Factor* s) { return s->labels.find(c) != Labels::npos; }) == 1;
      };
      if (label == row && is_summed(row) && is_summed(column) && rows.size() == 1 && rows == columns &&
          !vectors_.contains(row) && !vectors_.contains(column) && is_alone(row) && is_alone(column)) {
        special_.erase(special_.begin() + std::ptrdiff_t(k));
        vectors_[whole].push_back(make_chain(Kind::Vec, 1, {with_rows(take_matrix(rows[0]), column)}));
        return true;
      }
      if (label == whole && is_summed(whole) && wholes.empty() && vectors_.contains(whole) && is_alone(whole)) {
        special_.erase(special_.begin() + std::ptrdiff_t(k));
        Chain reshaped = make_chain(Kind::Reshape, 2, {take_vector(whole)});
        reshaped.lengths = {length_[row], length_[column]};
        add_matrix({std::move(reshaped), row, column});
        return true;
      }
    }
    return false;
  }

  /// A x, for a label of one matrix.
  bool apply_to_vector(char label) {
    const auto found = at(label);
    if (!is_summed(label) || found.size() != 1 || has_special(label)) return false;
    const Matrix m = take_matrix(found[0]);
    vectors_[m.other(label)].push_back(matrix_product(1, {with_rows(m, m.other(label)), take_vector(label)}));
    return true;
  }

  /// A ⊙ B, where the chain A Bᵀ would have to be closed again.
  bool multiply_alike(char label) {
    const auto found = at(label);
    if (found.size() != 2) return false;
    const Matrix &a = matrices_[found[0]], &b = matrices_[found[1]];
    if (a.row != b.row || a.column != b.column || a.chain.kind == Kind::Product || b.chain.kind == Kind::Product ||
        a.chain.transposed != b.chain.transposed) {
      return false;
    }
    const bool closed = is_summed(a.row) && is_summed(a.column) && at(a.row).size() == 2 && at(a.column).size() == 2 &&
                        !vectors_.contains(a.row) && !vectors_.contains(a.column);
    return !closed && merge(label);
  }

  /// A B, for a label of two matrices.
  bool contract(char label) {
    const auto found = at(label);
    if (!is_summed(label) || found.size() != 2 || vectors_.contains(label) || has_special(label)) return false;
    const Matrix second = take_matrix(found[1]), first = take_matrix(found[0]);
    const char row = first.other(label), column = second.other(label);
    add_matrix({matrix_product(2, {with_rows(first, row), with_rows(second, label)}), row, column});
    return true;
  }

  /// A ⊙ B, for matrices that have both labels in common.
  bool merge(char label) {
    const auto found = at(label);
    for (const bool alike : {true, false}) {
      for (size_t a : found) {
        for (size_t b : found) {
          if (a >= b || !matrices_[b].has(matrices_[a].other(label))) continue;
          if (alike && matrices_[a].row != matrices_[b].row) continue;
          if (matrices_[a].chain.kind == Kind::Identity || matrices_[b].chain.kind == Kind::Identity) continue;
          const Matrix second = take_matrix(b), first = take_matrix(a);
          add_matrix({elementwise_product({first.chain, with_rows(second, first.row)}), first.row, first.column});
          return true;
        }
      }
    }
    return false;
  }

  /// A ⊗ B: rows and columns of both are reshaped together.
  bool kronecker(char label) {
    for (size_t k = 0; k < special_.size(); ++k) {
      const Factor* rows = special_[k];
      if (rows->node->as<Identity>()->form != Identity::Form::Reshape || rows->labels.size() != 3) continue;
      if (rows->labels[1] != label) continue;
      const char outer_row = rows->labels[1], inner_row = rows->labels[2];
      const auto a = at(outer_row), b = at(inner_row);
      if (!is_summed(outer_row) || !is_summed(inner_row)) continue;
      if (a.empty() && b.empty() && vectors_.contains(outer_row) && vectors_.contains(inner_row)) {
        special_.erase(special_.begin() + std::ptrdiff_t(k));
        Chain first = take_vector(outer_row), second = take_vector(inner_row);
        vectors_[rows->labels[0]].push_back(make_chain(Kind::Kronecker, 1, {std::move(first), std::move(second)}));
        return true;
      }
      if (a.size() != 1 || b.size() != 1 || a == b) continue;
      if (vectors_.contains(outer_row) || vectors_.contains(inner_row)) continue;
      const char outer_column = matrices_[a[0]].other(outer_row), inner_column = matrices_[b[0]].other(inner_row);
      for (size_t l = 0; l < special_.size(); ++l) {
        const Factor* columns = special_[l];
        if (l == k || columns->node->as<Identity>()->form != Identity::Form::Reshape || columns->labels.size() != 3 ||
            columns->labels[1] != outer_column || columns->labels[2] != inner_column || !is_summed(outer_column) ||
            !is_summed(inner_column) || at(outer_column).size() != 1 || at(inner_column).size() != 1 ||
            vectors_.contains(outer_column) || vectors_.contains(inner_column)) {
          continue;
        }
        Chain first = with_rows(matrices_[a[0]], outer_row), second = with_rows(matrices_[b[0]], inner_row);
        take_matrix(std::max(a[0], b[0]));
        take_matrix(std::min(a[0], b[0]));
        special_.erase(special_.begin() + std::ptrdiff_t(std::max(k, l)));
        special_.erase(special_.begin() + std::ptrdiff_t(std::min(k, l)));
        add_matrix({make_chain(Kind::Kronecker, 2, {std::move(first), std::move(second)}), rows->labels[0],
                    columns->labels[0]});
        return true;
      }
    }
    return false;
  }

  /// A diag(v) B; (x yᵀ) ⊙ F where F has vectors along both labels.
  bool contract_scaled(char label) {
    const auto found = at(label);
    if (!is_summed(label) || found.size() != 2 || has_special(label)) return false;
    for (size_t k : found) {
      const char other = matrices_[k].other(label);
      if (!vectors_.contains(other) || !is_summed(other)) continue;
      Matrix& m = matrices_[k];
      const Chain x = take_vector(m.row), y = take_vector(m.column);
      m.chain = elementwise_product({outer_product(x, y), m.chain});
      return true;
    }
    const Matrix second = take_matrix(found[1]), first = take_matrix(found[0]);
    const char row = first.other(label), column = second.other(label);
    const Chain diagonal = make_chain(Kind::Diag, 2, {take_vector(label)});
    add_matrix({matrix_product(2, {with_rows(first, row), diagonal, with_rows(second, label)}), row, column});
    return true;
  }

  /// xᵀy, sum(x), sum(X), tr(X): a label of vectors only.
  bool close(char label) {
    if (!is_summed(label) || !vectors_.contains(label) || !at(label).empty() || has_special(label)) return false;
    std::vector<Chain> parts = vectors_.extract(label).mapped();
    if (std::ranges::all_of(parts, [](const Chain& c) { return c.kind == Kind::Diagonal; })) {
      std::vector<Chain> matrices;
      for (const Chain& part : parts) matrices.push_back(part.parts[0]);
      scalars_.push_back(make_chain(Kind::Trace, 0, {rotated(elementwise_product(std::move(matrices)))}));
      return true;
    }
    if (parts.size() == 1 && parts[0].kind == Kind::Product && parts[0].parts.back().kind == Kind::Ones) {
      Chain matrix{.kind = Kind::Product, .ndim = 2, .parts = {parts[0].parts.begin(), parts[0].parts.end() - 1}};
      if (matrix.parts.size() == 1) matrix = Chain(matrix.parts[0]);
      scalars_.push_back(make_chain(Kind::Total, 0, {shorter(matrix, transposed(matrix))}));
      return true;
    }
    if (parts.size() == 1 || (parts.size() == 2 && std::ranges::any_of(parts, divides)) ||
        std::ranges::all_of(parts, divides)) {
      scalars_.push_back(make_chain(Kind::Total, 0, {elementwise_product(std::move(parts))}));
      return true;
    }
    std::ranges::stable_partition(parts, [](const Chain& c) { return !divides(c); });
    const Chain first = parts[0], second = elementwise_product({parts.begin() + 1, parts.end()});
    scalars_.push_back(
        shorter(matrix_product(0, {transposed(first), second}), matrix_product(0, {transposed(second), first})));
    return true;
  }

  /// Rows of the identity matrix, of which nothing is selected.
  bool expose(char label) {
    for (size_t k = 0; k < special_.size(); ++k) {
      const Factor* f = special_[k];
      if (f->labels.back() != label || f->node->as<Identity>()->form == Identity::Form::Reshape) continue;
      special_.erase(special_.begin() + std::ptrdiff_t(k));
      const Chain leaf{.kind = Kind::Factor, .ndim = int(f->labels.size()), .factor = f};
      if (leaf.ndim == 1) {
        vectors_[label].push_back(leaf);
      } else {
        add_matrix({leaf, f->labels[0], f->labels[1]});
      }
      return true;
    }
    return false;
  }

  /// The form with fewer transposes, or else the one whose factors come in order.
  Chain shorter(Chain a, Chain b) const {
    auto key = [&](const Chain& c) { return std::pair(count_transposes(c), positions(c)); };
    return key(b) < key(a) ? b : a;
  }

  std::vector<int> positions(const Chain& c) const {
    std::vector<int> found;
    if (c.factor != nullptr) found.push_back(order_.at(c.factor));
    for (const Chain& part : c.parts) {
      const auto inner = positions(part);
      found.insert(found.end(), inner.begin(), inner.end());
    }
    return found;
  }

  /// A matrix, or its trace or diagonal if both labels are the same.
  void add_matrix(Matrix m) {
    if (m.row != m.column) {
      matrices_.push_back(std::move(m));
    } else if (is_summed(m.row) && !is_used(m.row)) {
      scalars_.push_back(make_chain(Kind::Trace, 0, {rotated(m.chain)}));
    } else {
      vectors_[m.row].push_back(make_chain(Kind::Diagonal, 1, {std::move(m.chain)}));
    }
  }

  /// Of all the products with the same trace, the one with the fewest transposes.
  Chain rotated(const Chain& c) const {
    if (c.kind != Kind::Product) return c.transposed ? transposed(c) : c;
    Chain best = c;
    for (Chain turned : {c, transposed(c)}) {
      for (size_t k = 0; k < turned.parts.size(); ++k) {
        std::ranges::rotate(turned.parts, turned.parts.begin() + 1);
        best = shorter(best, turned);
      }
    }
    return best;
  }

  /// What remains, with the axes of the result; a scalar is ones along no axis.
  std::optional<Chain> result() {
    if (labels_.empty()) return Chain{.kind = Kind::Ones};
    if (labels_.size() == 1) return matrices_.empty() ? std::optional(take_vector(labels_[0])) : std::nullopt;
    const char row = labels_[0], column = labels_[1];
    if (matrices_.size() > 2) return std::nullopt;
    const auto delta = std::ranges::find(matrices_, Kind::Identity, [](const Matrix& m) { return m.chain.kind; });
    if (delta != matrices_.end()) {
      std::vector<Chain> diagonal;
      for (char label : {row, column}) {
        if (vectors_.contains(label)) diagonal.push_back(take_vector(label));
      }
      for (const Matrix& m : matrices_) {
        if (m.chain.kind != Kind::Identity) diagonal.push_back(make_chain(Kind::Diagonal, 1, {m.chain}));
      }
      return diagonal.empty() ? delta->chain : make_chain(Kind::Diag, 2, {elementwise_product(std::move(diagonal))});
    }
    if (matrices_.size() > 1) return std::nullopt;
    if (matrices_.empty()) {
      const Chain x = take_vector(row), y = take_vector(column);
      return outer_product(x, y);
    }
    const Chain m = with_rows(matrices_[0], row);
    const bool scaled_rows = vectors_.contains(row), scaled_columns = vectors_.contains(column);
    if (!scaled_rows && !scaled_columns) return m;
    const Chain x = take_vector(row), y = take_vector(column);
    if (scaled_rows && scaled_columns) return elementwise_product({outer_product(x, y), m});
    if (scaled_rows) return matrix_product(2, {make_chain(Kind::Diag, 2, {x}), m});
    return matrix_product(2, {m, make_chain(Kind::Diag, 2, {y})});
  }

  Labels labels_;
  std::map<char, Expr> length_;
  std::map<const Factor*, int> order_;
  std::vector<Matrix> matrices_;
  std::map<char, std::vector<Chain>> vectors_;
  std::vector<const Factor*> special_;  ///< slices, entries and reshapes
  std::vector<Chain> scalars_;
  bool failed_ = false;
};

}  // namespace

std::optional<Chain> read_chain(const std::vector<const Factor*>& factors, const Labels& labels,
                                const std::vector<Expr>& lengths) {
  return Reader(factors, labels, lengths).read();
}

}  // namespace matgrad::expr
