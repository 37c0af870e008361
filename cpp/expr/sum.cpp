// The normal form of sums: equal terms merged, common factors, content and sign pulled out.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "expr/product.h"

namespace matgrad::expr {
namespace {

/// Splits a coefficient off.
Term unit_term(double coefficient, const Expr& node) {
  const auto* einsum = node->as<Einsum>();
  if (einsum == nullptr || einsum->coefficient == 1) return {coefficient, node};
  return {coefficient * einsum->coefficient, intern_product(1, einsum->factors, node->lengths)};
}

/// Adds a term, or the terms of a sum that is seen as it is, transposed or broadcast.
void add_flattened(std::vector<Term>& terms, double coefficient, const Expr& node) {
  const Term term = unit_term(coefficient, node);
  if (const auto* sum = term.node->as<Sum>()) {
    for (const Term& t : sum->terms) add_flattened(terms, term.coefficient * t.coefficient, t.node);
    return;
  }
  if (const auto* einsum = term.node->as<Einsum>(); einsum != nullptr && einsum->factors.size() == 1) {
    const Factor& f = einsum->factors[0];
    const auto* sum = f.node->as<Sum>();
    Labels sorted = f.labels;
    std::ranges::sort(sorted);
    const bool is_view = std::ranges::adjacent_find(sorted) == sorted.end() &&
                         (sorted.empty() || label_of(sorted.back()) < node->ndim());
    if (sum != nullptr && f.exponent == 1 && !f.guard && is_view) {
      for (const Term& t : sum->terms) {
        add_flattened(terms, term.coefficient * t.coefficient, broadcast(t.node, f.labels, node->lengths));
      }
      return;
    }
  }
  terms.push_back(term);
}

/// Whether an expression has axes whose length isn't that of a tensor: those of a δ, or along which it is repeated.
bool takes_lengths(const Expr& node) {
  const auto* einsum = node->as<Einsum>();
  if (einsum == nullptr) return node->as<Identity>() != nullptr;
  Labels own;
  for (const Factor& f : einsum->factors) {
    if (f.node->as<Identity>() != nullptr) return true;
    own += f.labels;
  }
  return std::ranges::any_of(labels_from(0, node->ndim()), [&](char c) { return own.find(c) == Labels::npos; });
}

/// Merges equal terms and sorts them.
void merge(std::vector<Term>& terms) {
  std::ranges::stable_sort(terms, {}, [](const Term& t) { return t.node->hash; });
  std::vector<Term> merged;
  for (Term& t : terms) {
    if (!merged.empty() && merged.back().node == t.node) {
      merged.back().coefficient += t.coefficient;
    } else {
      merged.push_back(std::move(t));
    }
  }
  std::erase_if(merged, [](const Term& t) { return t.coefficient == 0 || as_full(t.node) == 0; });
  terms = std::move(merged);
}

std::vector<Factor> factors_of(const Expr& node) {
  if (const auto* einsum = node->as<Einsum>()) return einsum->factors;
  return {{node, labels_from(0, node->ndim())}};
}

/// Labels with placeholders for the summed ones, numbered as they first appear.
std::string pattern(const Labels& labels, int ndim) {
  std::string text;
  Labels summed;
  for (char c : labels) {
    if (label_of(c) < ndim) {
      text += c;
      continue;
    }
    if (summed.find(c) == Labels::npos) summed += c;
    text += char(255 - int(summed.find(c)));
  }
  return text;
}

/// A factor that several terms have in common.
struct Common {
  Factor factor;                                    ///< as the first of them has it, with the least power
  std::vector<std::pair<size_t, size_t>> places{};  ///< term, and factor within it
};

/// Whether a factor says where a product is zero, whatever the others are there: they can't be pulled out then.
bool masks(const Factor& f) {
  return f.guard && !f.labels.empty();
}

bool is_identity(const Factor& f) {
  return f.node->as<Identity>() != nullptr;
}

/// The factors of a term that remain beside one.
std::vector<Factor> remainder(std::vector<Factor> factors, size_t place, double exponent) {
  factors[place].exponent -= exponent;
  if (factors[place].exponent == 0) factors.erase(factors.begin() + ptrdiff_t(place));
  return factors;
}

Labels all_labels(const std::vector<Factor>& factors) {
  Labels all;
  for (const Factor& f : factors) {
    for (char c : f.labels) {
      if (all.find(c) == Labels::npos) all += c;
    }
  }
  return all;
}

/// What is left of the terms when a common factor is taken out of them.
class Quotient {
 public:
  Quotient(const std::vector<Term>& terms, const std::vector<std::vector<Factor>>& factors, const Common& common,
           const Lengths& lengths)
      : terms_(terms), factors_(factors), common_(common), lengths_(lengths), ndim_(int(lengths.size())) {
    Labels inner;
    for (const auto& [term, place] : common.places) {
      const Labels& own = factors[term][place].labels;
      const auto rest = remainder(factors[term], place, common.factor.exponent);
      for (char c : all_labels(rest)) {
        const size_t axis = own.find(c);
        if (label_of(c) < ndim_) {
          if (kept_.find(c) == Labels::npos) kept_ += c;
        } else if (axis != Labels::npos) {
          if (shared_.find(char(axis)) == Labels::npos) shared_ += char(axis);
        } else {
          contracts_ = true;
        }
      }
      if (!own.empty() && std::ranges::any_of(rest, is_identity)) splits_identity_ = true;
    }
    std::ranges::sort(kept_);
    std::ranges::sort(shared_);
  }

  /// Whether it is no more work than the terms are: no tensor of more axes, no product of matrices for one of vectors.
  bool is_worthwhile() const {
    const int inner = int(kept_.size() + shared_.size());
    const bool no_output = std::ranges::all_of(common_.factor.labels, [&](char c) { return label_of(c) >= ndim_; });
    if (ndim_ == 0 && no_output && !common_.factor.labels.empty()) return false;
    if (splits_identity_ || (contracts_ && common_.places.size() < terms_.size())) return false;
    return inner <= (contracts_ ? ndim_ : std::max(ndim_, 2));
  }

  /// common (Σ quotients); null if the sum would be distributed again.
  Expr product() const {
    std::vector<Term> quotients;
    Lengths inner_lengths;
    for (char c : kept_) inner_lengths.push_back(lengths_[size_t(label_of(c))]);
    for (char axis : shared_) inner_lengths.push_back(common_.factor.node->lengths[size_t(axis)]);
    for (const auto& [term, place] : common_.places) {
      const Labels& own = factors_[term][place].labels;
      auto rest = remainder(factors_[term], place, common_.factor.exponent);
      Labels to(256, char(0));
      int next = int(kept_.size() + shared_.size());
      for (char c : all_labels(rest)) {
        const size_t axis = own.find(c);
        const size_t kept = kept_.find(c);
        to[size_t(label_of(c))] = kept != Labels::npos   ? char(kept)
                                  : axis != Labels::npos ? char(kept_.size() + shared_.find(char(axis)))
                                                         : char(next++);
      }
      for (Factor& f : rest) {
        for (char& c : f.labels) c = to[size_t(label_of(c))];
      }
      quotients.push_back({terms_[term].coefficient, einsum(1, std::move(rest), inner_lengths)});
    }
    Labels labels = kept_;
    for (char axis : shared_) labels += common_.factor.labels[size_t(axis)];
    const Expr total = sum(std::move(quotients), inner_lengths);
    const auto* scaled = total->as<Einsum>();
    const bool is_scaled = scaled != nullptr && scaled->factors.size() == 1;
    const auto* inner = is_scaled ? scaled->factors[0].node->as<Sum>() : total->as<Sum>();
    if (inner != nullptr && has_delta(*inner) && !common_.factor.labels.empty()) return Expr();
    return einsum(1, {common_.factor, {total, labels}}, lengths_);
  }

 private:
  const std::vector<Term>& terms_;
  const std::vector<std::vector<Factor>>& factors_;
  const Common& common_;
  const Lengths& lengths_;
  int ndim_;
  Labels kept_;    ///< the result's labels that quotients have
  Labels shared_;  ///< axes of the factor over which it is multiplied with the quotients
  bool contracts_ = false, splits_identity_ = false;
};

/// f a + f b = f (a + b), for the factor that most terms have in common. Returns whether there was one.
bool factor_out(std::vector<Term>& terms, const Lengths& lengths) {
  const int ndim = int(lengths.size());
  std::vector<std::vector<Factor>> factors;
  std::map<std::tuple<uint64_t, std::string, bool, bool>, Common> candidates;
  for (size_t t = 0; t < terms.size(); ++t) {
    factors.push_back(factors_of(terms[t].node));
    for (size_t k = 0; k < factors[t].size(); ++k) {
      const Factor& f = factors[t][k];
      if (is_identity(f)) continue;
      auto& common = candidates[{f.node->hash, pattern(f.labels, ndim), f.guard, f.exponent < 0}];
      if (!common.places.empty()) {
        // x + x² isn't x (1 + x), but a/x + b/x² is (a + b/x)/x
        const double difference = f.exponent - common.factor.exponent;
        const bool fits = difference == 0 || (f.exponent < 0 && difference == std::trunc(difference));
        if (common.factor.node != f.node || common.places.back().first == t || !fits) continue;
      }
      if (common.places.empty() || std::abs(f.exponent) < std::abs(common.factor.exponent)) common.factor = f;
      common.places.emplace_back(t, k);
    }
  }
  // a sum of symmetric matrices shows its symmetry best as it is
  const bool symmetric = std::ranges::all_of(terms, [](const Term& t) { return t.node->symmetric; });
  std::vector<const Common*> order;
  for (const auto& [unused, common] : candidates) {
    if (common.places.size() > 1) order.push_back(&common);
  }
  std::ranges::stable_sort(order, [](const Common* a, const Common* b) {
    return std::tuple(a->places.size(), a->factor.labels.size()) >
           std::tuple(b->places.size(), b->factor.labels.size());
  });
  for (const Common* common : order) {
    Common some = *common;
    std::erase_if(some.places, [&](const auto& place) {
      const auto rest = remainder(factors[place.first], place.second, some.factor.exponent);
      return !some.factor.labels.empty() &&
             std::ranges::any_of(rest, [](const Factor& f) { return is_identity(f) || masks(f); });
    });
    if (some.places.size() < 2 || (symmetric && !some.factor.labels.empty())) continue;
    some.factor.labels = factors[some.places[0].first][some.places[0].second].labels;
    const Quotient quotient(terms, factors, some, lengths);
    if (!quotient.is_worthwhile()) continue;
    const Expr product = quotient.product();
    if (!product) continue;
    for (size_t k = some.places.size(); k-- > 0;) terms.erase(terms.begin() + ptrdiff_t(some.places[k].first));
    add_flattened(terms, 1, product);
    merge(terms);
    return true;
  }
  return false;
}

/// Whether a sum is one that a reader might see; longer ones aren't searched for common factors, which takes long.
bool is_short(const std::vector<Term>& terms) {
  constexpr size_t kFactors = 64;
  size_t count = 0;
  for (const Term& t : terms) {
    const auto* einsum = t.node->as<Einsum>();
    count += einsum == nullptr ? 1 : einsum->factors.size();
  }
  return terms.size() > 1 && count <= kFactors;
}

/// The number to pull out: the greatest common divisor of integers, or the absolute value that all have.
double content(const std::vector<Term>& terms) {
  constexpr double kLargest = 0x1p53;
  const double first = std::abs(terms[0].coefficient);
  if (std::ranges::all_of(terms, [&](const Term& t) { return std::abs(t.coefficient) == first; })) return first;
  int64_t divisor = 0;
  for (const Term& t : terms) {
    if (t.coefficient != std::trunc(t.coefficient) || !(std::abs(t.coefficient) < kLargest)) return 1;
    divisor = std::gcd(divisor, int64_t(t.coefficient));
  }
  return double(divisor);
}

std::vector<Term> transposed(const std::vector<Term>& terms) {
  std::vector<Term> result;
  for (const Term& t : terms) result.push_back(unit_term(t.coefficient, transpose(t.node, Labels{1, 0})));
  merge(result);
  return result;
}

/// How many terms are transposes.
int64_t count_transposes(const std::vector<Term>& terms) {
  return std::ranges::count_if(terms, [](const Term& t) {
    const auto* einsum = t.node->as<Einsum>();
    return einsum != nullptr && einsum->factors.size() == 1 && einsum->factors[0].labels == Labels{1, 0};
  });
}

bool same_terms(const std::vector<Term>& a, const std::vector<Term>& b) {
  return std::ranges::equal(
      a, b, [](const Term& s, const Term& t) { return s.node == t.node && s.coefficient == t.coefficient; });
}

/// Whether the transpose is the one to be stored.
bool precedes(const std::vector<Term>& transposed, const std::vector<Term>& terms) {
  const int64_t a = count_transposes(transposed), b = count_transposes(terms);
  if (a != b) return a < b;
  return std::ranges::lexicographical_compare(
      transposed, terms, {}, [](const Term& t) { return t.node->hash; }, [](const Term& t) { return t.node->hash; });
}

}  // namespace

Expr sum(std::vector<Term> given, Lengths lengths) {
  std::vector<Term> terms;
  for (const Term& t : given) {
    if (t.node->ndim() != int(lengths.size())) throw ShapeError("terms of a sum have different numbers of axes");
    for (size_t axis = 0; axis < lengths.size(); ++axis) {
      lengths[axis] = common_length(lengths[axis], t.node->lengths[axis]);
    }
    add_flattened(terms, t.coefficient, t.node);
  }
  for (Term& t : terms) {
    if (const auto value = as_full(t.node)) {
      t = {t.coefficient * *value, full(1, lengths)};
    } else if (t.node->lengths != lengths && takes_lengths(t.node)) {
      t = unit_term(t.coefficient, broadcast(t.node, labels_from(0, t.node->ndim()), lengths));
    }
  }
  merge(terms);
  while (is_short(terms) && factor_out(terms, lengths)) {
  }
  if (terms.empty()) return full(0, std::move(lengths));
  if (terms.size() == 1) {
    return einsum(terms[0].coefficient, {{terms[0].node, labels_from(0, int(lengths.size()))}}, lengths);
  }
  bool flipped = false, symmetric = false;
  if (lengths.size() == 2) {
    std::vector<Term> other = transposed(terms);
    symmetric = same_terms(other, terms);
    flipped = !symmetric && precedes(other, terms);
    if (flipped) {
      terms = std::move(other);
      std::swap(lengths[0], lengths[1]);
    }
  }
  const double factor = std::copysign(content(terms), terms[0].coefficient);
  for (Term& t : terms) t.coefficient /= factor;
  Lengths own(lengths.size());
  for (const Term& t : terms) {
    for (size_t axis = 0; axis < own.size(); ++axis) own[axis] = common_length(own[axis], t.node->lengths[axis]);
  }
  const Expr node = intern(Sum{std::move(terms)}, std::move(own), symmetric);
  const int ndim = node->ndim();
  Labels labels = labels_from(0, ndim);
  if (flipped) {
    std::swap(labels[0], labels[1]);
    std::swap(lengths[0], lengths[1]);
  }
  return intern_product(factor, {{node, labels}}, std::move(lengths));
}

}  // namespace matgrad::expr
