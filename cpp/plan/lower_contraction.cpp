// Contractions: a product of tensors becomes products of two, each of which is one step where it can be.
#include <algorithm>
#include <bit>
#include <cstdlib>
#include <optional>

#include "plan/lower.h"

namespace matgrad::plan {

namespace {

using expr::Expr;

Set bit(int label) {
  return Set(1) << label;
}

/// Lowers one product.
class Contractor {
 public:
  Contractor(Lowering& lowering, Product product)
      : lowering_(lowering),
        lengths_(std::move(product.lengths)),
        scale_(product.coefficient),
        result_(std::move(product.result)),
        is_final_(product.is_final),
        is_symmetric_(product.is_symmetric) {
    for (auto& factor : product.factors) tensors_.push_back({std::move(factor)});
  }

  void run() {
    const Set wanted = result_.labels();
    Set present = wanted;
    for (const auto& tensor : tensors_) present |= tensor.labels();
    for (size_t label = 0; label < lengths_.size(); ++label) {
      if (!(present >> label & 1)) scale_ *= double(lengths_[label]);
    }
    if (tensors_.empty()) return lowering_.emit({.op = RowOp::Fill, .a = scale_}, lengths_, {&result_});
    if (tensors_.size() > size_t(kMaxMembers)) throw std::invalid_argument("a product has more than 64 factors");
    if (tensors_.size() > 1) {
      for (size_t k = 0; k < tensors_.size(); ++k) sum_own_labels(k, wanted);
    }
    for (size_t k = 0; k < tensors_.size(); ++k) members_.push_back(bit(int(k)));
    const size_t factors = tensors_.size();
    std::vector<Set> labels;
    for (const auto& tensor : tensors_) labels.push_back(tensor.labels());
    const auto is_known = [&](Set members) { return lowering_.contractions.contains(key(members, kept(members))); };
    const auto order = contraction_order({lengths_, labels, by_descending_stride(result_, wanted)}, is_known);
    for (size_t k = 0; k < order.size(); ++k) {
      const auto [left, right] = order[k];
      const Set members = members_[size_t(left)] | members_[size_t(right)];
      const bool is_last = k + 1 == order.size();
      const bool fits = is_last && (wanted & ~(tensor(left).labels() | tensor(right).labels())) == 0;
      const Set keeps = is_last ? wanted & (tensor(left).labels() | tensor(right).labels()) : kept(members);
      const std::string name = key(members, keeps);
      const std::vector<int> appearing = canonical(members).second;  // in another order once factors are stored
      const auto known = lowering_.contractions.find(name);
      if (is_absorbed(order, k, keeps)) {
        const bool swap = tensor(left).labels() != keeps;
        Tensor& scaled = tensor(swap ? right : left);
        add(scaled, members);
        tensors_.back().diagonal = tensor(swap ? left : right);
      } else if (known != lowering_.contractions.end()) {
        add(recalled(known->second, members), members);
      } else if (fits) {
        contract(tensor(left), tensor(right), keeps, scale_, &result_);
        if (is_final_ && scale_ == 1) remember(name, appearing, result_);
        return;
      } else {
        const Operand made = contract(tensor(left), tensor(right), keeps, 1, nullptr);
        remember(name, appearing, made);
        add(made, members);
      }
    }
    finish(tensors_.back(), factors == 1);
  }

 private:
  using Factor = Product::Factor;
  /// A factor, or what was contracted; if it has a diagonal, its product with that, which isn't stored.
  struct Tensor : Factor {
    std::optional<Operand> diagonal{};
  };

  Tensor& tensor(int k) { return tensors_[size_t(k)]; }
  void add(const Operand& made, Set members) {
    tensors_.push_back({{made, {}}});
    members_.push_back(members);
  }

  /// Whether contraction k, which keeps these labels, scales one tensor by the other, and that scaling is part of the
  /// product of matrices that comes next, over the scaled label.
  bool is_absorbed(const std::vector<Contraction>& order, size_t k, Set keeps) {
    const auto [left, right] = order[k];
    const Set either = tensor(left).labels() | tensor(right).labels();
    const Set diagonal = tensor(left).labels() & tensor(right).labels();
    if (either != keeps || (tensor(left).labels() != either && tensor(right).labels() != either)) return false;
    const auto made = int(tensors_.size());
    const auto next = std::find_if(order.begin() + ptrdiff_t(k), order.end(),
                                   [&](const auto& later) { return later.left == made || later.right == made; });
    if (next == order.end()) return false;
    const int partner = next->left == made ? next->right : next->left;
    if (partner >= made) return false;
    for (int stored : {left, right, partner}) {
      if (tensor(stored).deferred || tensor(stored).diagonal) return false;
    }
    const Set other = tensor(partner).labels();
    const Set members = members_[size_t(left)] | members_[size_t(right)] | members_[size_t(partner)];
    const Set stays = next + 1 == order.end() ? result_.labels() : kept(members);
    return (diagonal & ~other) == 0 && (diagonal & ~stays) != 0 && (either & ~other) != 0 && (other & ~either) != 0;
  }

  /// The last tensor becomes the result.
  void finish(Factor& last, bool is_only) {
    exist(last);
    const Set summed = last.labels() & ~result_.labels(), missing = result_.labels() & ~last.labels();
    if (summed == 0) {
      lowering_.emit({.op = RowOp::Scale, .a = scale_}, lengths_, {&result_, &last});
    } else if (missing == 0) {
      sum_of_products({&last}, result_, summed, scale_);
    } else {
      const Operand sum = fresh(by_descending_stride(last, last.labels() & ~summed));
      sum_of_products({&last}, sum, summed, 1);
      lowering_.emit({.op = RowOp::Scale, .a = scale_}, lengths_, {&result_, &sum});
    }
    if (is_only && is_final_ && scale_ == 1 && missing == 0) {
      remember(key(1, result_.labels()), canonical(1).second, result_);
    }
  }

  /// Makes sure that a tensor is stored.
  void exist(Factor& factor) {
    if (!factor.deferred) return;
    const Place place = lowering_.view(factor.deferred).place;
    factor.place = {place.buffer, place.offset + factor.place.offset};
    factor.deferred = {};
  }

  /// Sums a factor over labels that only it has.
  void sum_own_labels(size_t k, Set wanted) {
    Set others = wanted;
    for (size_t other = 0; other < tensors_.size(); ++other) {
      if (other != k) others |= tensors_[other].labels();
    }
    Factor& factor = tensors_[k];
    const Set own = factor.labels() & ~others;
    if (own == 0 || (factor.deferred && own != factor.labels())) return;
    exist(factor);
    const Operand sum = fresh(by_descending_stride(factor, factor.labels() & others));
    sum_of_products({&factor}, sum, own, 1);
    factor = {sum, {}};
  }

  /// The labels that the contraction of some factors keeps.
  Set kept(Set members) const {
    Set own = 0, others = result_.labels();
    for (size_t k = 0; k < members_.size() && std::has_single_bit(members_[k]); ++k) {
      (members >> k & 1 ? own : others) |= tensors_[k].labels();
    }
    return own & others;
  }

  // --- What is known ---

  /// The factors among `members` in an order that doesn't depend on the product that they are part of, and their
  /// labels in the order in which they appear.
  std::pair<std::vector<size_t>, std::vector<int>> canonical(Set members) const {
    std::vector<size_t> factors;
    for_each_member(members, [&](int k) { factors.push_back(size_t(k)); });
    auto rank = [&](size_t k) {
      std::vector<int64_t> strides;
      for (int label : by_descending_stride(tensors_[k], tensors_[k].labels())) {
        strides.push_back(tensors_[k].strides[size_t(label)]);
      }
      return std::tuple(tensors_[k].deferred.get(), tensors_[k].place.buffer, tensors_[k].place.offset, strides);
    };
    std::ranges::stable_sort(factors, {}, rank);
    std::vector<int> labels;
    for (size_t k : factors) {
      for (int label : by_descending_stride(tensors_[k], tensors_[k].labels())) {
        if (std::ranges::find(labels, label) == labels.end()) labels.push_back(label);
      }
    }
    return {factors, labels};
  }

  /// What a contraction of factors is made of.
  std::string key(Set members, Set keeps) const {
    const auto [factors, labels] = canonical(members);
    std::string text;
    auto add = [&](int64_t number) { text += std::to_string(number) + ' '; };
    for (size_t k : factors) {
      add(int64_t(reinterpret_cast<intptr_t>(tensors_[k].deferred.get())));
      add(tensors_[k].place.buffer);
      add(tensors_[k].place.offset);
      for (int label : labels) add(tensors_[k].strides[size_t(label)]);
      text += ';';
    }
    for (int label : labels) add((keeps >> label & 1 ? 1 : -1) * lengths_[size_t(label)]);
    return text;
  }

  void remember(const std::string& name, const std::vector<int>& labels, const Operand& made) {
    Operand known{made.place, {}};
    for (int label : labels) known.strides.push_back(made.strides[size_t(label)]);
    lowering_.contractions.insert({name, known});
  }

  Operand recalled(const Operand& known, Set members) const {
    Operand operand{known.place, std::vector<int64_t>(lengths_.size(), 0)};
    const auto labels = canonical(members).second;
    for (size_t k = 0; k < labels.size(); ++k) operand.strides[size_t(labels[k])] = known.strides[k];
    return operand;
  }

  // --- Operands ---

  double size(Set labels) const {
    double size = 1;
    for_each_member(labels, [&](int label) { size *= double(lengths_[size_t(label)]); });
    return size;
  }

  Operand fresh(const std::vector<int>& labels) { return lowering_.new_operand(lengths_, labels); }
  Operand copied(const Operand& operand, const std::vector<int>& labels) {
    return lowering_.copied(lengths_, operand, labels);
  }

  /// The label among these along which an operand is contiguous, or −1.
  int contiguous_label(const Operand& operand, Set labels) const {
    int found = -1;
    for_each_member(labels, [&](int label) {
      if (operand.strides[size_t(label)] == 1) found = label;
    });
    return found;
  }

  // --- Steps ---

  /// scale Σ a b over the labels that aren't kept, written to `target`, or to a new buffer if that is null.
  Operand contract(Tensor& a, Tensor& b, Set keeps, double scale, const Operand* target) {
    if (a.diagonal || b.diagonal) {
      return matrix_product(a, b, a.diagonal ? &*a.diagonal : &*b.diagonal, keeps, scale, target);
    }
    if (a.deferred && b.deferred) exist(a);
    for (bool swap : {false, true}) {
      Factor &matrix = swap ? b : a, &other = swap ? a : b;
      if (const auto made = multiply_deferred(lowering_, lengths_, matrix, other, keeps, scale, target)) return *made;
      // Labels that only the matrix has are summed over afterwards, so that it needn't be stored.
      const Set own = matrix.labels() & ~other.labels() & ~keeps;
      if (own == 0 || (matrix.labels() & other.labels()) == 0) continue;
      if (const auto made = multiply_deferred(lowering_, lengths_, matrix, other, keeps | own, 1, nullptr)) {
        const Operand sum = target ? *target : fresh(by_descending_stride(*made, made->labels() & keeps));
        sum_of_products({&*made}, sum, own, scale);
        return sum;
      }
    }
    exist(a);
    exist(b);
    const Set left = a.labels() & ~b.labels(), right = b.labels() & ~a.labels();
    const Set summed = (a.labels() | b.labels()) & ~keeps;
    if (summed != 0 && left != 0 && right != 0) return matrix_product(a, b, nullptr, keeps, scale, target);
    Operand result;
    if (target == nullptr) {
      const bool a_first = size(a.labels()) >= size(b.labels());
      std::vector<int> labels = by_descending_stride(a_first ? a : b, (a_first ? a : b).labels() & keeps);
      if (left != 0 && right != 0) labels = by_descending_stride(result_, keeps & result_.labels());
      for (int label : by_descending_stride(left && right ? b : a_first ? b : a, keeps)) {
        if (std::ranges::find(labels, label) == labels.end()) labels.push_back(label);
      }
      result = fresh(labels);
    } else {
      result = *target;
    }
    if (summed == 0) {
      lowering_.emit({.op = RowOp::Multiply, .a = scale}, lengths_, {&result, &a, &b});
    } else {
      sum_of_products({&a, &b}, result, summed, scale);
    }
    return result;
  }

  void sum_of_products(const std::vector<const Operand*>& factors, const Operand& result, Set summed, double scale) {
    const Operand* largest = factors[0];
    for (const Operand* factor : factors) {
      if (size(factor->labels()) > size(largest->labels())) largest = factor;
    }
    const Set kept = result.labels();
    const int contiguous = contiguous_label(*largest, largest->labels());
    SumOfProducts step{.operands = int(factors.size()) + 1, .scale = scale};
    step.by_dots = kept == 0 || (contiguous >= 0 && (summed & bit(contiguous)));
    auto kept_labels = by_descending_stride(result, kept), summed_labels = by_descending_stride(*largest, summed);
    for (auto* labels : {&kept_labels, &summed_labels}) {
      const auto found = std::ranges::find(*labels, contiguous);
      if (found != labels->end() && (labels == &summed_labels || !step.by_dots)) {
        std::rotate(found, found + 1, labels->end());
      }
    }
    Operands operands{&result};
    operands.insert(operands.end(), factors.begin(), factors.end());
    step.kept = make_nest(lengths_, kept_labels, operands);
    step.summed = make_nest(lengths_, summed_labels, operands);
    for (size_t k = 0; k < operands.size(); ++k) step.places[k] = operands[k]->place;
    lowering_.emit(step);
  }

  /// As `contract`, with factors that both have labels of their own; `diagonal` is one more factor, or null.
  Operand matrix_product(Operand a, Operand b, const Operand* diagonal, Set keeps, double scale,
                         const Operand* target) {
    const Set batch = a.labels() & b.labels() & keeps, summed = a.labels() & b.labels() & ~keeps;
    Set left = a.labels() & ~b.labels(), right = b.labels() & ~a.labels();
    auto swap = [&] {
      std::swap(a, b);
      std::swap(left, right);
    };
    // The columns of the result run along one label, along which it is contiguous.
    Operand result;
    if (target != nullptr) {
      result = *target;
      if (contiguous_label(result, left) >= 0) swap();
      if (contiguous_label(result, right) < 0) {
        const Operand product = matrix_product(a, b, diagonal, keeps, scale, nullptr);
        lowering_.emit({.op = RowOp::Scale}, lengths_, {&result, &product});
        return result;
      }
    } else {
      const bool a_fits = contiguous_label(a, left) >= 0, b_fits = contiguous_label(b, right) >= 0;
      if (a_fits != b_fits ? a_fits : !b_fits && size(a.labels()) < size(b.labels())) swap();
      std::vector<int> labels = by_descending_stride(b, batch);
      for (int label : by_descending_stride(a, left)) labels.push_back(label);
      for (int label : by_descending_stride(b, right)) labels.push_back(label);
      result = fresh(labels);
    }
    Lengths lengths = lengths_;
    auto longest = [&](Set labels) {
      int longest = -1;
      for_each_member(labels, [&](int label) {
        if (longest < 0 || lengths[size_t(label)] > lengths[size_t(longest)]) longest = label;
      });
      return longest;
    };
    const Operand none{{}, std::vector<int64_t>(lengths.size(), 0)}, &d = diagonal ? *diagonal : none;
    const Set rows = join_labels(lengths, left, {&result, &a}), columns = join_labels(lengths, right, {&result, &b});
    const Set inner = join_labels(lengths, summed, {&a, &b, &d});
    const Set outer = join_labels(lengths, batch, {&result, &a, &b, &d});
    const int column = contiguous_label(result, columns);
    const int row = longest(rows), k = longest(inner);
    MatrixProduct step{.operands = diagonal ? 5 : 3,
                       .rows = lengths[size_t(row)],
                       .columns = lengths[size_t(column)],
                       .k = lengths[size_t(k)],
                       .ldc = result.strides[size_t(row)],
                       .a_row = a.strides[size_t(row)],
                       .a_column = a.strides[size_t(k)],
                       .b_row = b.strides[size_t(k)],
                       .b_column = b.strides[size_t(column)],
                       .ldd = diagonal ? result.strides[size_t(row)] : 0,
                       .d_step = d.strides[size_t(k)],
                       .scale = scale,
                       .places = {result.place, a.place, b.place}};
    if (diagonal) step.places[3] = result.place, step.places[4] = d.place;
    const Set loops = outer | (rows & ~bit(row)) | (columns & ~bit(column));
    const Operands operands = diagonal ? Operands{&result, &a, &b, &result, &d} : Operands{&result, &a, &b};
    step.batch = make_nest(lengths, by_descending_stride(result, loops), operands);
    step.summed = make_nest(lengths, by_descending_stride(a, inner & ~bit(k)), operands);
    step.symmetric = is_symmetric(step) || (is_symmetric_ && target == &result_ && halves(step));
    lowering_.emit(step);
    if (step.symmetric) lowering_.emit(mirror(step));
    return result;
  }

  /// Whether it pays to compute half of a symmetric matrix.
  static bool halves(const MatrixProduct& step) {
    constexpr int64_t kSmallest = 64;
    return step.rows == step.columns && step.rows >= kSmallest && step.batch.empty();
  }

  /// Whether a product is that of a matrix and its transpose, and large enough to be computed by half, or with a
  /// diagonal, so that entries (i, j) and (j, i) would be rounded differently.
  static bool is_symmetric(const MatrixProduct& step) {
    constexpr int64_t kSmallest = 64;
    const auto is_alike = [](const Nest& nest) {
      return std::ranges::all_of(nest, [](const Loop& loop) { return loop.strides[1] == loop.strides[2]; });
    };
    return step.rows == step.columns && (step.rows >= kSmallest || step.operands == 5) &&
           step.places[1] == step.places[2] && step.a_row == step.b_column && step.a_column == step.b_row &&
           is_alike(step.batch) && is_alike(step.summed);
  }

  static Mirror mirror(const MatrixProduct& step) {
    Mirror mirror{.n = step.rows, .ld = step.ldc, .places = {step.places[0]}, .batch = step.batch};
    for (Loop& loop : mirror.batch) loop.strides = {loop.strides[0]};
    return mirror;
  }

  Lowering& lowering_;
  const Lengths lengths_;
  std::vector<Tensor> tensors_{};  ///< the factors, and then what was contracted
  std::vector<Set> members_{};     ///< the factors that each of them is made of
  double scale_;
  const Operand result_;
  const bool is_final_;
  const bool is_symmetric_;
};

}  // namespace

void lower_contraction(Lowering& lowering, Product product) {
  Contractor(lowering, std::move(product)).run();
}

}  // namespace matgrad::plan
