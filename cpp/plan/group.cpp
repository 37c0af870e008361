// Which steps can run as one pass over tiles of an index.
#include "plan/group.h"

#include <algorithm>
#include <span>

namespace matgrad::plan {
namespace {

/// The most lengths that are tried as that of the index, the longest ones, and the most steps that one of them is
/// tried from.
constexpr size_t kMostLengths = 6, kMostStarts = 24;
/// A product of matrices joins a group if it makes no more than this many multiplications for each element that it
/// reads along the index; one that makes more runs at the speed of arithmetic wherever its operands are.
constexpr double kMostReuse = 100;
/// Values of the index in a tile, about.
constexpr double kTile = 256;
/// An operand with more elements is best read in the order in which it is in memory, and one with still more may be
/// beyond memory: a mapped file, of which no more than a tile is to be there at a time.
constexpr double kBeyondCaches = 1 << 25, kBeyondMemory = 1 << 27;
/// Chunks that a sum over the index is held in, about.
constexpr double kPartials = 8;

/// Multiplications for each element that a product reads or writes along the index.
double reuse(const Cut& cut) {
  const auto* product = std::get_if<MatrixProduct>(&cut.step);
  if (product == nullptr) return 0;
  const double sides[] = {double(product->rows), double(product->columns), double(product->k)};
  if (cut.axis > 2) {
    return sides[0] * sides[1] * sides[2] / (sides[0] * sides[1] + sides[0] * sides[2] + sides[1] * sides[2]);
  }
  const double a = sides[(cut.axis + 1) % 3], b = sides[(cut.axis + 2) % 3];
  return a * b / (a + b);
}

/// The elements of the largest operand that is read along the index.
double largest_read(const Cut& cut) {
  double largest = 0;
  for (size_t k = 1; k < kMaxOperands; ++k) {
    if (cut.advance[k] != 0) largest = std::max(largest, double(elements_touched(cut.step, int(k))));
  }
  return largest;
}

/// The ways to cut each step.
using Cuts = std::vector<std::vector<Cut>>;

/// A group that grows: a step joins if it does for each tile only what depends on that tile.
class Grower {
 public:
  explicit Grower(int64_t length) { group_.length = length; }

  /// Adds a step if it fits one of these cuts, otherwise all that depends on it has to stay out, too.
  void offer(const Step& step, size_t position, std::span<const Cut> cuts) {
    const std::vector<int> buffers = buffers_of(step);
    const bool waits = buffers.empty() || used_.contains(buffers[0]) ||
                       std::ranges::any_of(buffers, [&](int buffer) { return written_.contains(buffer); });
    const auto fitting =
        waits ? cuts.end() : std::ranges::find_if(cuts, [&](const Cut& cut) { return fits(cut, buffers); });
    if (fitting != cuts.end()) return join(position, *fitting, buffers);
    if (!waits && is_independent(step, buffers)) {
      group_.before.insert(position);
      return;
    }
    used_.insert(buffers.begin(), buffers.end());
    for (int k = 0; k < written_by(step) && k < int(buffers.size()); ++k) written_.insert(buffers[size_t(k)]);
  }

  Group group() && { return std::move(group_); }

 private:
  /// Whether a step neither reads what members write nor writes what they use, so that it can run before them.
  bool is_independent(const Step& step, const std::vector<int>& buffers) const {
    for (size_t k = 0; k < buffers.size(); ++k) {
      if (group_.streamed.contains(buffers[k]) || group_.summed.contains(buffers[k])) return false;
      if (int(k) < written_by(step) && (read_.contains(buffers[k]) || used_.contains(buffers[k]))) return false;
    }
    return true;
  }

  bool fits(const Cut& cut, const std::vector<int>& buffers) const {
    const int written = buffers[0];
    const bool is_new = !group_.streamed.contains(written);
    if (is_new && read_.contains(written)) return false;
    if (cut.summed ? cut.advance[0] != 0 || !is_new : cut.advance[0] == 0) return false;
    for (size_t k = 0; k < buffers.size(); ++k) {
      if (group_.summed.contains(buffers[k])) return false;
      const auto known = group_.streamed.find(buffers[k]);
      const bool is_streamed = known != group_.streamed.end();
      if (!is_streamed && (buffers[k] != written || cut.summed)) continue;
      const int64_t advance = is_streamed ? known->second : cut.advance[0];
      if (cut.advance[k] != advance || !stays_within_unit(cut, int(k), group_.length)) return false;
    }
    return reuse(cut) <= kMostReuse || largest_read(cut) > kBeyondMemory;
  }

  void join(size_t position, const Cut& cut, const std::vector<int>& buffers) {
    for (int buffer : buffers) {
      if (buffer != buffers[0] && !group_.streamed.contains(buffer)) read_.insert(buffer);
    }
    if (cut.summed) {
      group_.summed.insert(buffers[0]);
    } else {
      group_.streamed[buffers[0]] = cut.advance[0];
    }
    group_.members.push_back({position, cut});
  }

  Group group_{};
  std::set<int> read_{};              ///< buffers that members read but don't write
  std::set<int> used_{}, written_{};  ///< buffers that steps left out use, and those that they write
};

/// Whether the index of a cut is the outermost one of an operand, so that tiles of it are contiguous.
bool is_outermost(const Cut& cut, size_t operand) {
  const auto axes = axes_of(cut.step);
  return std::ranges::all_of(axes, [&](const Axis& axis) {
    return std::abs(axis.strides[operand]) <= std::abs(axes[cut.axis].strides[operand]);
  });
}

/// Sets what a group's local buffers are and what it saves.
void assess(Group& group, const std::map<int, int>& uses) {
  std::map<int, int> own_uses;
  std::map<int, double> elements, read_again;
  for (const Group::Member& member : group.members) {
    const std::vector<int> buffers = buffers_of(member.cut.step);
    const auto tiles = double(group.length * member.cut.per_unit) / kTile;
    for (size_t k = 0; k < buffers.size(); ++k) {
      const auto touched = double(elements_touched(member.cut.step, int(k)));
      if (++own_uses[buffers[k]] > 1 && member.cut.advance[k] != 0) read_again[buffers[k]] += touched;
      elements[buffers[k]] += touched;
      const bool is_far = touched > kBeyondCaches && k > 0 && !group.streamed.contains(buffers[k]);
      if (is_far) group.saved += is_outermost(member.cut, k) ? touched : -touched;
      const bool is_product = std::holds_alternative<MatrixProduct>(member.cut.step);
      if (is_product && member.cut.advance[k] == 0 && k > 0) group.saved -= tiles * touched;
    }
  }
  for (const auto& [buffer, count] : own_uses) {
    if (group.summed.contains(buffer)) {
      group.saved -= kPartials * elements[buffer];
    } else if (group.streamed.contains(buffer) && uses.at(buffer) == count) {
      group.local.insert(buffer);
      group.saved += elements[buffer];
    } else {
      group.saved += read_again[buffer];
    }
  }
}

/// The lengths of loops, those of the largest operands first.
std::vector<int64_t> candidate_lengths(const std::vector<TiledStep>& steps) {
  std::map<int64_t, double> weights;
  for (const TiledStep& tiled : steps) {
    for (const Axis& axis : axes_of(tiled.step)) {
      double largest = 0;
      for (int k = 0; k < kMaxOperands; ++k) {
        if (axis.strides[size_t(k)] != 0) largest = std::max(largest, double(elements_touched(tiled.step, k)));
      }
      if (axis.length > 1) weights[axis.length] += largest;
    }
  }
  std::vector<std::pair<double, int64_t>> sorted;
  for (const auto& [length, weight] : weights) sorted.push_back({-weight, -length});
  std::ranges::sort(sorted);
  std::vector<int64_t> lengths;
  for (const auto& [weight, length] : sorted) lengths.push_back(-length);
  lengths.resize(std::min(lengths.size(), kMostLengths));
  return lengths;
}

}  // namespace

std::vector<int> buffers_of(const Step& step) {
  Step copy = step;
  std::vector<int> buffers;
  for (const Place* place : places_of(copy)) buffers.push_back(place->buffer);
  return buffers;
}

std::optional<Group> best_group(const std::vector<TiledStep>& steps, const std::map<int, int>& uses,
                                const std::function<bool(const Group&)>& accept) {
  std::optional<Group> best;
  for (const int64_t length : candidate_lengths(steps)) {
    Cuts cuts;
    for (const TiledStep& tiled : steps) cuts.push_back(cuts_of(tiled, length));
    size_t starts = 0;
    for (size_t first = 0; first < steps.size() && starts < kMostStarts; ++first) {
      starts += !cuts[first].empty();
      for (const Cut& cut : cuts[first]) {
        Grower grower(length);
        grower.offer(steps[first].step, first, std::span(&cut, 1));
        for (size_t k = first + 1; k < steps.size(); ++k) grower.offer(steps[k].step, k, cuts[k]);
        Group group = std::move(grower).group();
        if (group.members.empty() || group.members[0].position != first) continue;
        assess(group, uses);
        const bool is_better = !best || std::pair(group.saved, group.length) > std::pair(best->saved, best->length);
        if (is_better && accept(group)) best = std::move(group);
      }
    }
  }
  return best;
}

}  // namespace matgrad::plan
