// Derivatives of functions of matrices by their operands. Sources: M. Giles, Collected matrix derivative results for
// forward and reverse mode algorithmic differentiation (2008), of inverse, determinant, Cholesky's factor and
// eigenvalues; J. Townsend, Differentiating the singular value decomposition (2016); G. Golub and V. Pereyra, SIAM J.
// Numer. Anal. 10 (1973), of the pseudoinverse; N. Higham, Functions of Matrices (2008), of the exponential.
#include "expr/diff_linalg.h"

#include "expr/op.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>

namespace matgrad::expr {
namespace {

/// A tensor in a formula. Its axes are letters: i and j are those of the value, k and l those of the operand, and
/// others are summed over.
struct Entry {
  Expr node;
  std::string letters;
  double exponent = 1;
  bool guard = false;
};

/// A derivative, or its product with a neighbour in the chain rule, as a sum of products. Axes of a stack need no
/// letters.
class Formula {
 public:
  /// ∂value/∂operand, with the axes of both.
  Formula(const Expr& value, const Expr& operand) : stack_(operand->ndim() - 2), value_(value->ndim() - stack_) {
    lengths_ = value->lengths;
    lengths_.insert(lengths_.end(), operand->lengths.begin(), operand->lengths.end());
    const int n = value->ndim();
    name("ij", stack_, value_);
    name("kl", n + stack_, 2);
    for (int axis = 0; axis < stack_; ++axis) {
      given_.push_back({delta(operand->lengths[size_t(axis)]), Labels{char(axis), char(n + axis)}});
    }
  }

  /// outer ∂value/∂operand, where outer has axes w, the stack, i and j, with axes w, the stack, k and l.
  static Formula pulled_back(const Expr& value, const Expr& operand, const Expr& outer) {
    Formula result(operand->ndim() - 2, value->ndim() - operand->ndim() + 2);
    const int before = outer->ndim() - value->ndim(), ndim = before + operand->ndim();
    result.lengths_.assign(outer->lengths.begin(), outer->lengths.begin() + before);
    result.lengths_.insert(result.lengths_.end(), operand->lengths.begin(), operand->lengths.end());
    result.first_ = before;
    result.name("kl", ndim - 2, 2);
    result.name("ij", ndim, result.value_);
    result.given_ = {{outer, labels_from(0, ndim - 2) + labels_from(ndim, result.value_)}};
    return result;
  }

  /// ∂value/∂operand inner, where inner has axes of the stack, k, l and u, with axes of the stack, i, j and u.
  static Formula pushed_forward(const Expr& value, const Expr& operand, const Expr& inner) {
    Formula result(operand->ndim() - 2, value->ndim() - operand->ndim() + 2);
    const int after = inner->ndim() - operand->ndim(), n = value->ndim(), ndim = n + after;
    result.lengths_ = value->lengths;
    result.lengths_.insert(result.lengths_.end(), inner->lengths.end() - after, inner->lengths.end());
    result.name("ij", result.stack_, result.value_);
    result.name("kl", ndim, 2);
    result.given_ = {{inner, labels_from(0, result.stack_) + labels_from(ndim, 2) + labels_from(n, after)}};
    return result;
  }

  void add(double coefficient, const std::vector<Entry>& entries) {
    std::vector<Factor> factors = given_;
    std::map<char, char> known = labels_;
    int next = int(lengths_.size()) + value_ + 2;
    for (const Entry& entry : entries) {
      const bool has_stack = entry.node->ndim() > int(entry.letters.size());
      Labels labels = has_stack ? labels_from(first_, stack_) : Labels();
      for (char letter : entry.letters) {
        const auto [label, is_new] = known.try_emplace(letter, char(next));
        labels += label->second;
        next += is_new;
      }
      factors.push_back({entry.node, std::move(labels), entry.exponent, entry.guard});
    }
    terms_.push_back({coefficient, einsum(1, std::move(factors), lengths_)});
  }

  /// Half of a term and half of it with k and l exchanged: what belongs to the symmetric part of the operand.
  void add_symmetrized(double coefficient, const std::vector<Entry>& entries) {
    add(coefficient / 2, entries);
    std::swap(labels_['k'], labels_['l']);
    add(coefficient / 2, entries);
    std::swap(labels_['k'], labels_['l']);
  }

  Expr total() { return terms_.size() == 1 ? terms_[0].node * number(terms_[0].coefficient) : sum(terms_, lengths_); }

 private:
  Formula(int stack, int value) : stack_(stack), value_(value) {}

  /// Gives so many of the letters the labels from `first` on.
  void name(const char* letters, int first, int count) {
    for (int k = 0; k < count; ++k) labels_[letters[k]] = char(first + k);
  }

  int stack_, value_;  ///< how many axes a stack has, and the value of each matrix
  int first_ = 0;      ///< label of the stack
  Lengths lengths_{};
  std::map<char, char> labels_{};
  std::vector<Factor> given_{};
  std::vector<Term> terms_{};
};

/// 1/(x[q] − x[p]) at p, q; a product with it is 0 where they are equal.
Entry reciprocal_difference(const Expr& x, const std::string& letters) {
  const int n = x->ndim();
  Lengths lengths = x->lengths;
  lengths.push_back(lengths.back());
  Labels first = labels_from(0, n), second = first;
  second.back() = char(n);
  return {broadcast(x, second, lengths) - broadcast(x, first, lengths), letters, -1, true};
}

/// The same of x[q] + x[p].
Entry reciprocal_sum(const Expr& x, const std::string& letters) {
  const int n = x->ndim();
  Lengths lengths = x->lengths;
  lengths.push_back(lengths.back());
  Labels first = labels_from(0, n), second = first;
  second.back() = char(n);
  return {broadcast(x, second, lengths) + broadcast(x, first, lengths), letters, -1, true};
}

/// The nodes that a rule is made of.
struct Nodes {
  const Expr& value;
  const Linalg& linalg;
  const Expr& A = linalg.operand;

  Expr operator()(LinalgOp op) const { return expr::linalg(op, A); }
  const Expr& length(int axis) const { return value->lengths[size_t(value->ndim() + axis)]; }
};

/// dA⁻¹ = −A⁻¹ dA A⁻¹.
void inverse(const Nodes& nodes, Formula& formula) {
  formula.add(-1, {{nodes.value, "ik"}, {nodes.value, "lj"}});
}

/// d det A = det A tr(A⁻¹ dA).
void determinant(const Nodes& nodes, Formula& formula) {
  formula.add(1, {{nodes(LinalgOp::Inverse), "lk"}, {nodes.value, ""}});
}

/// d log|det A| = tr(A⁻¹ dA).
void log_determinant(const Nodes& nodes, Formula& formula) {
  formula.add(1, {{nodes(LinalgOp::Inverse), "lk"}});
}

/// dL = L Φ(L⁻¹ dA L⁻ᵀ), where Φ takes the lower triangle and half of the diagonal.
void cholesky(const Nodes& nodes, Formula& formula) {
  const Expr &L = nodes.value, inverse = linalg(LinalgOp::Inverse, L);
  const Expr T = triangle(nodes.length(-1), nodes.length(-1), 0);
  formula.add_symmetrized(1, {{L, "ip"}, {T, "pj"}, {inverse, "pk"}, {inverse, "jl"}});
  formula.add(-0.5, {{L, "ij"}, {inverse, "jk"}, {inverse, "jl"}});
}

/// dλ[i] = (Qᵀ dA Q)[i,i].
void eigenvalues(const Nodes& nodes, Formula& formula) {
  const Expr Q = nodes(LinalgOp::EigenVectors);
  formula.add(1, {{Q, "ki"}, {Q, "li"}});
}

/// dQ = Q (F ∘ Qᵀ dA Q), F[p,j] = 1/(λ[j] − λ[p]).
void eigenvectors(const Nodes& nodes, Formula& formula) {
  const Expr& Q = nodes.value;
  const Entry F = reciprocal_difference(nodes(LinalgOp::EigenValues), "pj");
  formula.add_symmetrized(1, {{Q, "ip"}, F, {Q, "kp"}, {Q, "lj"}});
}

/// ds[i] = (Uᵀ dA V)[i,i].
void singular_values(const Nodes& nodes, Formula& formula) {
  formula.add(1, {{nodes(LinalgOp::LeftVectors), "ki"}, {nodes(LinalgOp::RightVectors), "li"}});
}

/// dU = U (F ∘ (Uᵀ dA V S + S Vᵀ dAᵀ U)) + (I − U Uᵀ) dA V S⁻¹, F[p,j] = 1/(s[j]² − s[p]²); and dV likewise, with A
/// transposed. `u` and `v` are the letters of the operand's axes along which U and V are.
void vectors(const Nodes& nodes, Formula& formula, const Expr& U, const Expr& V, const std::string& u,
             const std::string& v) {
  const Expr s = nodes(LinalgOp::SingularValues);
  const Entry difference = reciprocal_difference(s, "pj"), sum = reciprocal_sum(s, "pj");
  formula.add(1, {{U, "ip"}, difference, sum, {U, u + "p"}, {V, v + "j"}, {s, "j"}});
  formula.add(1, {{U, "ip"}, difference, sum, {s, "p"}, {V, v + "p"}, {U, u + "j"}});
  if (U->lengths[size_t(U->ndim()) - 2] == U->lengths.back()) return;
  const Entry reciprocal{s, "j", -1, true};
  formula.add(1, {{delta(nodes.length(-2)), "i" + u}, {V, v + "j"}, reciprocal});
  formula.add(-1, {{U, "ip"}, {U, u + "p"}, {V, v + "j"}, reciprocal});
}

void left_vectors(const Nodes& nodes, Formula& formula) {
  vectors(nodes, formula, nodes.value, nodes(LinalgOp::RightVectors), "k", "l");
}

void right_vectors(const Nodes& nodes, Formula& formula) {
  vectors(nodes, formula, nodes.value, nodes(LinalgOp::LeftVectors), "l", "k");
}

/// dP = −P dA P + P Pᵀ dAᵀ (I − A P) + (I − P A) dAᵀ Pᵀ P, where the rank stays: what is cut off must be zero but for
/// rounding errors.
void pseudoinverse(const Nodes& nodes, Formula& formula) {
  constexpr double kRounding = 1e-4;
  if (nodes.value->as<Linalg>()->cutoff > kRounding) {
    throw NotDifferentiable("the derivative of pinv is not supported where it cuts off more than rounding errors");
  }
  const Expr &P = nodes.value, &A = nodes.A;
  formula.add(-1, {{P, "ik"}, {P, "lj"}});
  formula.add(1, {{P, "ip"}, {P, "lp"}, {delta(nodes.length(-1)), "kj"}});
  formula.add(-1, {{P, "ip"}, {P, "lp"}, {A, "kq"}, {P, "qj"}});
  formula.add(1, {{delta(nodes.length(-2)), "il"}, {P, "pk"}, {P, "pj"}});
  formula.add(-1, {{P, "iq"}, {A, "ql"}, {P, "pk"}, {P, "pj"}});
}

/// dQ = dA R⁻¹ − Q X, dR = X R, where X = upper(M) + strictly_lower(M)ᵀ and M = Qᵀ dA R⁻¹.
void orthogonal_factor(const Nodes& nodes, Formula& formula) {
  const Expr &Q = nodes.value, inverse = linalg(LinalgOp::Inverse, nodes(LinalgOp::TriangularFactor));
  const Expr& n = nodes.length(-1);
  formula.add(1, {{delta(nodes.length(-2)), "ik"}, {inverse, "lj"}});
  formula.add(-1, {{Q, "ip"}, {triangle(n, n, 0), "jp"}, {Q, "kp"}, {inverse, "lj"}});
  formula.add(-1, {{Q, "ip"}, {triangle(n, n, -1), "jp"}, {Q, "kj"}, {inverse, "lp"}});
}

void triangular_factor(const Nodes& nodes, Formula& formula) {
  const Expr &R = nodes.value, inverse = linalg(LinalgOp::Inverse, R), Q = nodes(LinalgOp::OrthogonalFactor);
  const Expr& n = nodes.length(-1);
  formula.add(1, {{triangle(n, n, 0), "qi"}, {Q, "ki"}, {inverse, "lq"}, {R, "qj"}});
  formula.add(1, {{triangle(n, n, -1), "qi"}, {Q, "kq"}, {inverse, "li"}, {R, "qj"}});
}

using Rule = void (*)(const Nodes&, Formula&);

/// In the order of LinalgOp; null where the derivative is zero, and for the exponential.
constexpr Rule kRules[] = {inverse,       determinant,   log_determinant,   log_determinant,   nullptr,
                           cholesky,      eigenvalues,   eigenvectors,      singular_values,   left_vectors,
                           right_vectors, pseudoinverse, orthogonal_factor, triangular_factor, nullptr};
static_assert(std::size(kRules) == size_t(LinalgOp::Exp) + 1);

Expr applied(const Expr& node, Formula formula) {
  const auto& linalg = *node->as<Linalg>();
  kRules[size_t(linalg.op)]({node, linalg}, formula);
  return formula.total();
}

/// eᴬ in the place of δ[i,j], if a tensor is a product with that δ of its last two axes and of nothing else that has
/// them: multiples of the identity commute with A, so that this is the derivative in their direction.
std::optional<Expr> exponential_along_identity(const Expr& A, const Expr& along) {
  const int ndim = along->ndim(), n = A->ndim();
  const auto* product = along->as<Einsum>();
  std::vector<Factor> factors{{along, labels_from(0, ndim)}};
  if (product != nullptr) factors = product->factors;
  Factor* found = nullptr;
  for (Factor& f : factors) {
    const bool has_row = f.labels.find(char(ndim - 2)) != Labels::npos;
    const bool has_column = f.labels.find(char(ndim - 1)) != Labels::npos;
    const auto* identity = f.node->as<Identity>();
    const bool is_delta = identity != nullptr && identity->form == Identity::Form::Delta && has_row && has_column;
    if (is_delta && found == nullptr) {
      found = &f;
    } else if (has_row || has_column) {
      return std::nullopt;
    }
  }
  if (found == nullptr) return std::nullopt;
  *found = {linalg(LinalgOp::Exp, A), labels_from(ndim - n, n)};
  return einsum(product == nullptr ? 1 : product->coefficient, std::move(factors), along->lengths);
}

/// The upper right block of exp([[A, E], [0, A]]), the derivative of eᴬ in the direction E, for a stack of directions
/// in front of the axes of A. The direction `along` and the result are in the same order of axes.
Expr exponential_along(const Expr& A, const Expr& along) {
  if (const auto simple = exponential_along_identity(A, along)) return *simple;
  const int ndim = along->ndim(), n = A->ndim(), directions = ndim - n;
  const Labels stack = labels_from(0, ndim - 2);
  const Expr &length = A->lengths.back(), two = number(2);
  const Expr ravel = reshape_tensor({two, length});
  const char row = char(ndim - 2), column = char(ndim - 1);
  Lengths lengths = along->lengths;
  lengths[size_t(row)] = lengths[size_t(column)] = ravel->lengths[0];
  // the block (a, b) of a matrix of blocks
  auto block = [&](const Expr& X, const Labels& axes, int64_t a, int64_t b) {
    const char first = char(ndim), second = char(ndim + 1), i = char(ndim + 2), j = char(ndim + 3);
    return einsum(1,
                  {{ravel, Labels{row, first, i}},
                   {ravel, Labels{column, second, j}},
                   {element(two, a), Labels{first}},
                   {element(two, b), Labels{second}},
                   {X, axes + i + j}},
                  lengths);
  };
  const Labels own = labels_from(directions, n - 2);
  const Expr whole = block(A, own, 0, 0) + block(A, own, 1, 1) + block(along, stack, 0, 1);
  const char K = char(ndim), L = char(ndim + 1), first = char(ndim + 2), second = char(ndim + 3);
  return einsum(1,
                {{ravel, Labels{K, first, row}},
                 {ravel, Labels{L, second, column}},
                 {element(two, 0), Labels{first}},
                 {element(two, 1), Labels{second}},
                 {linalg(LinalgOp::Exp, whole), stack + K + L}},
                along->lengths);
}

/// The operand's axes of a derivative, one for each of the node's: δ[stack, stack′] δ[i, k] δ[j, l].
Expr identity_of(const Expr& node) {
  const int n = node->ndim();
  std::vector<Factor> factors;
  Lengths lengths = node->lengths;
  lengths.insert(lengths.end(), node->lengths.begin(), node->lengths.end());
  for (int axis = 0; axis < n; ++axis) {
    factors.push_back({delta(node->lengths[size_t(axis)]), Labels{char(axis), char(n + axis)}});
  }
  return einsum(1, std::move(factors), std::move(lengths));
}

}  // namespace

Expr by_operand_of_linalg(const Expr& node) {
  const auto& linalg = *node->as<Linalg>();
  if (linalg.op == LinalgOp::Exp) return pushed_forward(node, identity_of(node));
  if (kRules[size_t(linalg.op)] == nullptr) return Expr();
  return applied(node, Formula(node, linalg.operand));
}

bool has_directional_rule(const Expr& node) {
  const auto* linalg = node->as<Linalg>();
  if (linalg == nullptr) return false;
  const Rule rule = kRules[size_t(linalg->op)];
  constexpr Rule kProducts[] = {inverse, determinant, log_determinant, eigenvalues, singular_values};
  return linalg->op != LinalgOp::SignDet && std::ranges::find(kProducts, rule) == std::end(kProducts);
}

Expr pulled_back(const Expr& node, const Expr& outer) {
  const Expr& A = node->as<Linalg>()->operand;
  if (node->as<Linalg>()->op != LinalgOp::Exp) return applied(node, Formula::pulled_back(node, A, outer));
  Labels turned = labels_from(0, A->ndim());
  std::swap(turned[size_t(A->ndim()) - 1], turned[size_t(A->ndim()) - 2]);
  return exponential_along(transpose(A, turned), outer);
}

Expr pushed_forward(const Expr& node, const Expr& inner) {
  const Expr& A = node->as<Linalg>()->operand;
  if (node->as<Linalg>()->op != LinalgOp::Exp) return applied(node, Formula::pushed_forward(node, A, inner));
  const int n = node->ndim(), directions = inner->ndim() - n;
  const Labels to_front = labels_from(n, directions) + labels_from(0, n);
  const Labels to_back = labels_from(directions, n) + labels_from(0, directions);
  return transpose(exponential_along(A, transpose(inner, to_front)), to_back);
}

}  // namespace matgrad::expr
