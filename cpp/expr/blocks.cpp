// Blocks: expressions of arrays that are cut along an index, as what is computed of every block and joined again.
#include "expr/blocks.h"

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>

#include "expr/build.h"
#include "expr/print.h"

namespace matgrad::expr {
namespace {

/// What a block has of a node.
struct Place {
  int axis = -1;         ///< the one along which it has a part only; −1: it has the whole
  int pass = 0;          ///< in which it is computed; of the whole: before which
  bool joined = false;   ///< whether the whole is made of values of blocks
  bool constant = true;  ///< whether it has no symbols
};

[[noreturn]] void fail(const Expr& e, const std::string& why) {
  throw NotInBlocks(to_matrix(e) + " " + why);
}

bool has_label(const Factor& f, int label) {
  return f.labels.find(char(label)) != Labels::npos;
}

/// The axis of a factor that has that label, or −1.
int axis_of(const Factor& f, int label) {
  const size_t axis = f.labels.find(char(label));
  if (axis == Labels::npos) return -1;
  if (f.labels.find(char(label), axis + 1) != Labels::npos) fail(f.node, "would be cut along two axes at once");
  return int(axis);
}

/// Whether a tensor that selects entries, or adds them up, has its own part for every part of that axis.
bool is_selected_along(const Expr& e, int axis) {
  return !e->as<Identity>() && !e->as<Triangle>() && (!e->as<Gather>() || axis < e->ndim() - 1);
}

/// Whether the part of a node along an axis, of its own, is made of parts of its operands.
bool is_elementwise_along(const Expr& e, int axis) {
  if (const auto* linalg_ = e->as<Linalg>()) return axis < linalg_->operand->ndim() - 2;
  if (const auto* reduced = e->as<Reduce>()) {
    return reduced->reduction != Reduction::ArgSort || reduced->axes.find(char(axis)) == Labels::npos;
  }
  return e->as<Sum>() || e->as<Map>() || (e->as<Gather>() && is_selected_along(e, axis));
}

/// The operand's axis that is the result's axis.
int operand_axis(const Reduce& reduce, int axis) {
  if (reduce.reduction == Reduction::ArgSort) return axis;
  int from = 0;
  for (int left = axis + 1;; ++from) {
    left -= reduce.axes.find(char(from)) == Labels::npos;
    if (left == 0) return from;
  }
}

/// How reductions of blocks become that of the whole, if they do.
std::optional<Join> join_of(Reduction reduction) {
  switch (reduction) {
    case Reduction::Max:
      return Join::Max;
    case Reduction::Min:
      return Join::Min;
    case Reduction::Prod:
      return Join::Prod;
    case Reduction::LogSumExp:
      return Join::LogSumExp;
    default:
      return std::nullopt;
  }
}

/// A product that is summed over blocks: what is inside of that sum, and what it is multiplied with.
struct Split {
  std::vector<Factor> inside{}, outside{};
};

/// That sum's value, and what it is multiplied with.
struct Joined {
  std::vector<Factor> outside{};
  Factor value{};
};

/// Places nodes from the leaves up; then rewrites them from the results down, along the axis that is asked for.
class Blocking {
 public:
  explicit Blocking(const std::vector<CutSymbol>& cut) {
    for (const auto& [symbol, axis] : cut) places_[symbol.get()] = {axis, 0, false, false};
  }

  Blocks operator()(const std::vector<Expr>& results, const std::vector<Expr>& like) {
    for (const Expr& e : results) place(e);
    for (size_t k = 0; k < results.size(); ++k) {
      int axis = places_.at(results[k].get()).axis;
      if (axis < 0 && like[k] && places_.contains(like[k].get())) {
        axis = places_.at(like[k].get()).axis;
        if (axis >= 0) cut(like[k], axis);  // says how long blocks are
      }
      blocks_.results.push_back(axis < 0 ? whole(results[k]) : concatenated(results[k], axis));
    }
    const int last = int(blocks_.passes.size()) - (blocks_.passes.empty() || blocks_.passes.back().of_blocks.empty());
    for (Expr& e : blocks_.results) e = named(e, std::max(last, 0));
    return std::move(blocks_);
  }

 private:
  // --- What a block has ---

  const Place& place(const Expr& root) {
    for (const Expr& e : topological_order({root})) {
      if (!places_.contains(e.get())) places_.emplace(e.get(), place_of(e));
    }
    return places_.at(root.get());
  }

  Place place_of(const Expr& e) {
    if (const auto* product = e->as<Einsum>(); product && cut_labels(*product).size() > 1) {
      return place(separated_.emplace(e.get(), separated(e, *product)).first->second);
    }
    Place place;
    place.constant = !e->as<Symbol>() && !e->as<Size>();
    for_each_operand(*e, [&](const Expr& operand) {
      const Place& known = places_.at(operand.get());
      place.pass = std::max(place.pass, known.pass);
      place.constant = place.constant && known.constant;
    });
    for (const Expr& length : e->lengths) place.constant = place.constant && as_number(length);
    place.axis = cut_axis(e, place.joined);
    if (!place.joined) return place;
    place.axis = -1;
    if (const auto* product = e->as<Einsum>()) place.pass = pass_of(split(e, *product).inside);
    ++place.pass;
    return place;
  }

  int pass_of(const std::vector<Factor>& factors) const {
    int pass = 0;
    for (const Factor& f : factors) pass = std::max(pass, places_.at(f.node.get()).pass);
    return pass;
  }

  /// The axis along which a node is cut because its operands are, and whether the cut ends there.
  int cut_axis(const Expr& e, bool& ends) {
    if (const auto* product = e->as<Einsum>()) {
      const int label = cut_label(*product);
      ends = label >= e->ndim();
      return label;
    }
    int axis = -1;
    for_each_operand(*e, [&](const Expr& operand) {
      const int other = places_.at(operand.get()).axis;
      if (axis >= 0 && other >= 0 && axis != other) fail(e, "joins every block with every other");
      axis = std::max(axis, other);
    });
    if (axis < 0) return axis;
    const auto* reduced = e->as<Reduce>();
    if (reduced != nullptr && reduced->reduction != Reduction::ArgSort) {
      ends = reduced->axes.find(char(axis)) != Labels::npos;
      if (ends && !join_of(reduced->reduction)) fail(e, "needs all blocks at once");
      return axis - int(std::ranges::count_if(reduced->axes, [&](char other) { return int(uint8_t(other)) < axis; }));
    }
    if (is_elementwise_along(e, axis)) return axis;
    fail(e, "needs all blocks at once");
  }

  /// The labels of a product along which factors are cut.
  Labels cut_labels(const Einsum& product) const {
    Labels labels;
    for (const Factor& f : product.factors) {
      const int axis = places_.at(f.node.get()).axis;
      if (axis >= 0 && labels.find(f.labels[size_t(axis)]) == Labels::npos) labels += f.labels[size_t(axis)];
    }
    return labels;
  }

  /// The one label of a product along which factors are cut, or −1.
  int cut_label(const Einsum& product) const {
    const Labels labels = cut_labels(product);
    return labels.empty() ? -1 : int(uint8_t(labels[0]));
  }

  /// Σ_mo A[m,j] B[o,j] with sums over blocks, of m and of o, that are computed before.
  Expr separated(const Expr& e, const Einsum& product) {
    std::vector<Factor> factors = product.factors;
    const Labels cut = cut_labels(product);
    const auto is_kept_by = [&](char label) { return int(uint8_t(label)) < e->ndim(); };
    if (std::ranges::count_if(cut, is_kept_by) > 1) fail(e, "joins every block with every other");
    for (char label : cut) {
      if (is_kept_by(label)) continue;
      const auto rest = std::ranges::stable_partition(factors, [&](const Factor& f) { return !has_label(f, label); });
      std::vector<Factor> summed(rest.begin(), rest.end());
      factors.erase(rest.begin(), rest.end());
      Labels kept, gone;
      for (const Factor& f : summed) {
        for (char l : f.labels) {
          if (l == label) continue;
          if (cut.find(l) != Labels::npos) fail(e, "joins every block with every other");
          auto has_it = [&](const Factor& other) { return has_label(other, l); };
          Labels& side = is_kept_by(l) || std::ranges::any_of(factors, has_it) ? kept : gone;
          if (side.find(l) == Labels::npos) side += l;
        }
      }
      const Labels all = kept + gone + label;
      for (Factor& f : summed) {
        for (char& l : f.labels) l = char(all.find(l));
      }
      const Expr part = parts_.emplace_back(einsum(1, std::move(summed), Lengths(kept.size())));
      const int pass = place(part).pass;
      const Expr known = named(whole(part), pass);
      places_.try_emplace(known.get(), Place{-1, pass, false, false});
      factors.push_back(factor(known, kept));
    }
    return einsum(product.coefficient, std::move(factors), e->lengths);
  }

  /// Factors that wait for a pass which the others needn't wait for, and over whose labels nothing is summed, are
  /// outside.
  Split split(const Expr& e, const Einsum& product) const {
    Split parts;
    std::vector<Factor> cut;
    for (const Factor& f : product.factors) {
      if (places_.at(f.node.get()).axis >= 0) cut.push_back(f);
    }
    const int pass = pass_of(cut);
    const bool has_guard = std::ranges::any_of(product.factors, &Factor::guard);  // of which factors isn't known
    for (const Factor& f : product.factors) {
      const bool is_kept = std::ranges::all_of(f.labels, [&](char label) { return int(uint8_t(label)) < e->ndim(); });
      const bool waits = places_.at(f.node.get()).pass > pass;
      (waits && is_kept && !has_guard ? parts.outside : parts.inside).push_back(f);
    }
    return parts;
  }

  // --- Whole values ---

  /// A node as a function of whole arrays and of joined values.
  Expr whole(const Expr& e) {
    if (const auto known = whole_.find(e.get()); known != whole_.end()) return known->second;
    if (const auto known = separated_.find(e.get()); known != separated_.end()) return whole(known->second);
    auto replace = [&](const Expr& operand, int) { return whole(operand); };
    const Expr result = places_.at(e.get()).joined ? product_of(e, -1, replace)
                                                   : rebuilt(e, [&](const Expr& operand) { return whole(operand); });
    whole_.emplace(e.get(), result);
    return result;
  }

  template <class Replace>
  Expr rebuilt(const Expr& e, const Replace& replace) {
    std::vector<Expr> operands;
    bool changed = false;
    for_each_operand(*e, [&](const Expr& operand) {
      operands.push_back(replace(operand));
      changed = changed || operands.back() != operand;
    });
    return changed ? with_operands(e, operands) : e;
  }

  /// What a node is that is made of values of blocks.
  const Joined& joined(const Expr& e) {
    if (const auto known = joined_.find(e.get()); known != joined_.end()) return known->second;
    return joined_.emplace(e.get(), e->as<Einsum>() ? summed(e, *e->as<Einsum>()) : reduced(e)).first->second;
  }

  Joined reduced(const Expr& e) {
    const auto& reduce_ = *e->as<Reduce>();
    const Expr operand = in_block(reduce_.operand, places_.at(reduce_.operand.get()).axis);
    const Expr value = reduce(reduce_.reduction, operand, reduce_.axes);
    const Expr known = of_blocks(places_.at(e.get()).pass - 1, {fresh(e->lengths), value, *join_of(reduce_.reduction)});
    return {{}, factor(known, labels_from(0, e->ndim()))};
  }

  Joined summed(const Expr& e, const Einsum& product) {
    const int label = cut_label(product);
    auto [inside, outside] = split(e, product);
    const int pass = pass_of(inside);
    Labels kept;
    Lengths lengths;
    for (int l = 0; l < e->ndim(); ++l) {
      if (!std::ranges::any_of(inside, [&](const Factor& f) { return has_label(f, l); })) continue;
      kept += char(l);
      lengths.push_back(e->lengths[size_t(l)]);
    }
    for (Factor& f : inside) {
      f.node = in_block(e, f, label);
      for (char& l : f.labels) {
        const size_t axis = kept.find(l);
        l = char(axis != Labels::npos ? axis : uint8_t(l) - size_t(e->ndim()) + kept.size());
      }
    }
    const Expr value = einsum(product.coefficient, std::move(inside), lengths);
    return {std::move(outside), factor(of_blocks(pass, {fresh(lengths), value, Join::Sum}), kept)};
  }

  /// The product of what a sum over blocks gave and of what that is multiplied with: its part along an axis, or the
  /// whole (−1).
  template <class Replace>
  Expr product_of(const Expr& e, int axis, const Replace& replace) {
    Joined parts = joined(e);
    for (Factor& f : parts.outside) f.node = replace(f.node, axis_of(f, axis));
    if (const int own = axis_of(parts.value, axis); own >= 0) parts.value.node = cut(parts.value.node, own);
    parts.outside.push_back(std::move(parts.value));
    return einsum(1, std::move(parts.outside), lengths_of(e, axis));
  }

  Lengths lengths_of(const Expr& e, int cut) const {
    Lengths lengths = e->lengths;
    if (cut >= 0) lengths[size_t(cut)] = length_;
    return lengths;
  }

  // --- Assignments ---

  Pass& pass(int k) {
    if (blocks_.passes.size() <= size_t(k)) blocks_.passes.resize(size_t(k) + 1);
    return blocks_.passes[size_t(k)];
  }

  Expr fresh(Lengths lengths) {
    for (Expr& length : lengths) length = as_number(length) ? length : Expr();
    return symbol(std::string("<").append(std::to_string(symbols_++)).append(">"), std::move(lengths));
  }

  Expr of_blocks(int k, Assignment assignment) {
    pass(k).of_blocks.push_back(std::move(assignment));
    return pass(k).of_blocks.back().symbol;
  }

  Expr concatenated(const Expr& e, int axis) {
    Expr& known = concatenated_[{e.get(), axis}];
    if (!known) {
      known = of_blocks(places_.at(e.get()).pass, {fresh(e->lengths), in_block(e, axis), Join::Concatenate, axis});
    }
    return known;
  }

  /// A symbol for a function of whole arrays, which is computed once, before that pass.
  Expr named(const Expr& value, int k) {
    if (value->as<Symbol>()) return value;
    Expr& known = named_[value.get()];
    if (!known) {
      known = fresh(value->lengths);
      pass(k).once.push_back({known, value});
    }
    return known;
  }

  // --- Values of blocks ---

  /// A node as a block has it: its part along an axis, or the whole (−1).
  Expr in_block(const Expr& e, int axis) {
    if (const auto known = separated_.find(e.get()); known != separated_.end()) return in_block(known->second, axis);
    const auto key = std::pair(e.get(), axis);
    if (const auto known = in_block_.find(key); known != in_block_.end()) return known->second;
    const Expr result = axis < 0 ? whole_in_block(e) : is_cut_inside(e, axis) ? cut_inside(e, axis) : cut(e, axis);
    in_block_.emplace(key, result);
    return result;
  }

  /// A factor of a product that is cut along a label.
  Expr in_block(const Expr& product, const Factor& f, int label) {
    const int axis = axis_of(f, label);
    if (axis >= 0 && !is_selected_along(f.node, axis)) fail(product, "needs what is in certain places of what is cut");
    return in_block(f.node, axis);
  }

  /// What every block needs of a whole is computed once. Only what is better left to the blocks isn't: inverses, which
  /// they solve with, and gathers, which are never stored.
  Expr whole_in_block(const Expr& e) {
    const Place& place = places_.at(e.get());
    if (place.constant) return e;
    const auto* linalg_ = e->as<Linalg>();
    if ((linalg_ == nullptr || linalg_->op != LinalgOp::Inverse) && !e->as<Gather>())
      return named(whole(e), place.pass);
    return rebuilt(e, [&](const Expr& operand) { return in_block(operand, -1); });
  }

  /// Whether the part of a node is made of parts of its operands, rather than taken from the whole.
  bool is_cut_inside(const Expr& e, int axis) const {
    const Place& place = places_.at(e.get());
    if (place.axis >= 0) return !e->as<Symbol>();
    if (place.joined) return true;
    if (const auto* product = e->as<Einsum>()) {
      return std::ranges::all_of(product->factors, [&](const Factor& f) {
        const auto count = std::ranges::count(f.labels, char(axis));
        return count == 0 || (count == 1 && is_selected_along(f.node, axis_of(f, axis)));
      });
    }
    return is_elementwise_along(e, axis);
  }

  Expr cut_inside(const Expr& e, int axis) {
    if (places_.at(e.get()).joined) {
      return product_of(e, axis, [&](const Expr& operand, int own) { return in_block(operand, own); });
    }
    if (const auto* product = e->as<Einsum>()) {
      std::vector<Factor> factors = product->factors;
      for (Factor& f : factors) f.node = in_block(e, f, axis);
      return einsum(product->coefficient, std::move(factors), lengths_of(e, axis));
    }
    const auto* reduced = e->as<Reduce>();
    const int from = reduced ? operand_axis(*reduced, axis) : axis;
    return rebuilt(e, [&](const Expr& operand) { return in_block(operand, from); });
  }

  /// A symbol for the part of a whole array.
  Expr cut(const Expr& e, int axis) {
    if (!is_selected_along(e, axis)) fail(e, "has two axes that would be cut");
    const Expr source = e->as<Symbol>() ? e : named(whole(e), places_.at(e.get()).pass);
    std::string name = "block of ";
    name.append(source->as<Symbol>()->name).append(" along axis ").append(std::to_string(axis));
    const Expr block = symbol(name, lengths_of(e, axis));
    if (std::ranges::find(blocks_.cuts, block, &Cut::block) == blocks_.cuts.end()) {
      blocks_.cuts.push_back({block, source, axis});
    }
    return block;
  }

  const Expr length_ = size("<block>");
  Blocks blocks_;
  int symbols_ = 0;
  std::vector<Expr> parts_;  ///< what no expression holds that nodes are known by
  std::unordered_map<const Node*, Place> places_;
  std::unordered_map<const Node*, Expr> separated_, whole_, named_;
  std::unordered_map<const Node*, Joined> joined_;
  std::map<std::pair<const Node*, int>, Expr> in_block_, concatenated_;
};

}  // namespace

Blocks in_blocks(const std::vector<Expr>& results, const std::vector<Expr>& like, const std::vector<CutSymbol>& cut) {
  for (const Expr& e : topological_order(results)) {
    const auto* size_ = e->as<Size>();
    for (const auto& [symbol, axis] : cut) {
      if (size_ && size_->name == symbol->as<Symbol>()->name && size_->axis == axis) fail(e, "must be a number");
    }
  }
  return Blocking(cut)(results, like);
}

}  // namespace matgrad::expr
