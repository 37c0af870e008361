// Streaming: neighbouring steps become one pass over tiles of an index that they share, so that what they leave for
// each other stays in the cache, and what is summed over the index is never held as a whole.
#include "plan/stream.h"

#include <algorithm>
#include <mutex>
#include <set>

#include "plan/arena.h"
#include "plan/axes.h"
#include "plan/describe.h"
#include "plan/fuse.h"
#include "plan/group.h"

namespace matgrad::plan {
namespace {

std::mutex mutex;
StreamLimits limits;  // guarded by it

/// Values of the index in a tile of a pass with products of matrices, of which each reads all of its other factor.
constexpr int64_t kProductTile = 256;
/// Tiles are a multiple of this where they can be, which suits registers.
constexpr int64_t kTileMultiple = 32;
/// The most chunks.
constexpr int64_t kMostChunks = 64;
/// Sums of chunks take no more work than this part of the whole.
constexpr double kShareOfSums = 0.125;

/// Uses of a buffer that is used elsewhere, too.
constexpr int kManyUses = 1 << 20;

using Steps = std::vector<TiledStep>;
/// By buffer.
using Uses = std::map<int, int>;
using Sizes = std::map<int, int64_t>;

/// Tiles are so many times as large as the pieces that operands are read in, at most.
constexpr int64_t kTilesOfPieces = 512;

/// The most elements in the sums of all chunks.
constexpr double kMostPartials = 1 << 25;

/// Divides `length` into tiles of about that size, as equal as can be.
int64_t even_tile(int64_t length, int64_t tile) {
  tile = std::clamp<int64_t>(tile, 1, length);
  const int64_t count = (length + tile - 1) / tile, even = (length + count - 1) / count;
  const int64_t multiple = even >= kTileMultiple ? (even + kTileMultiple - 1) / kTileMultiple * kTileMultiple : even;
  return std::min(length, multiple);
}

/// What a step takes, in elements that could be read or written meanwhile.
double work_of(const Step& step) {
  constexpr double kFlopsPerElement = 16;
  const Cost its = cost(step);
  return its.elements + its.flops / kFlopsPerElement;
}

/// Elements that a group keeps in the cache for each value of its index.
double elements_per_unit(const Group& group) {
  std::map<int, double> elements;
  std::map<int, int> uses;
  for (const auto& member : group.members) {
    const std::vector<int> buffers = buffers_of(member.cut.step);
    for (size_t k = 0; k < buffers.size(); ++k) {
      if (member.cut.advance[k] == 0) continue;
      double& known = elements[buffers[k]];
      known = std::max(known, double(elements_touched(member.cut.step, int(k))) / double(group.length));
      ++uses[buffers[k]];
    }
  }
  double sum = 1;
  for (const auto& [buffer, count] : elements) {
    // What is read once doesn't have to stay, but a tile of it has to fit into memory many times.
    constexpr double kRoomForOthers = 32;
    sum += uses[buffer] > 1 ? count : count / kRoomForOthers;
  }
  return sum;
}

/// Makes passes of steps.
class Streamer {
 public:
  Streamer(const Buffers& buffers, std::vector<int64_t>& sizes, const StreamLimits& limits)
      : buffers_(buffers), sizes_(sizes), limits_(limits) {}

  /// The steps with passes in place of groups of them that save at least that much. `uses` counts the uses of buffers;
  /// `sizes` are those of buffers that may become local.
  Steps passes(const Steps& steps, size_t level, double least, const Uses& uses, Sizes& sizes) {
    const auto group = best_group(steps, uses, [&](const Group& some) { return has_long_pieces(some, level); });
    if (!group || group->saved < least) return steps;
    Steps before, after;
    auto member = group->members.begin();
    for (size_t k = 0; k < steps.size(); ++k) {
      if (member != group->members.end() && member->position == k) {
        ++member;
      } else {
        const bool is_before = k < group->members[0].position || group->before.contains(k);
        (is_before ? before : after).push_back(steps[k]);
      }
    }
    Steps result = passes(before, level, least, uses, sizes);
    add_pass(result, *group, steps, level, uses, sizes);
    const Steps rest = passes(after, level, least, uses, sizes);
    result.insert(result.end(), rest.begin(), rest.end());
    return result;
  }

 private:
  int64_t size(int buffer) const { return sizes_[size_t(buffer - buffers_.first_intermediate())]; }

  /// The values of the index in a tile, and whether that is to be cut once more.
  std::pair<int64_t, bool> tile_of(const Group& group, size_t level) const {
    const bool has_products = std::ranges::any_of(
        group.members, [](const auto& member) { return std::holds_alternative<MatrixProduct>(member.cut.step); });
    const double elements = double(limits_.tile) * (has_products ? 2 : 1);
    const int64_t tile = even_tile(group.length, int64_t(elements / elements_per_unit(group)));
    const bool nests = level == 0 && has_products && tile < kProductTile && tile < group.length;
    return {nests ? even_tile(group.length, kProductTile) : tile, nests};
  }

  /// Whether the pieces that operands are read in, one for each tile, aren't too short.
  bool has_long_pieces(const Group& group, size_t level) const {
    const int64_t tile = tile_of(group, level).first;
    if (tile == group.length) return level == 0;  // within a tile, one of the same length saves nothing
    return std::ranges::all_of(group.members, [&](const auto& member) {
      return std::ranges::all_of(member.cut.advance, [&](int64_t advance) {
        return advance == 0 || tile * std::abs(advance) >= limits_.tile / kTilesOfPieces;
      });
    });
  }

  void add_pass(Steps& result, const Group& group, const Steps& steps, size_t level, const Uses& uses, Sizes& sizes) {
    Pass pass{.level = int(level), .length = group.length};
    bool nests = false;
    std::tie(pass.tile, nests) = tile_of(group, level);
    pass.chunk = level == 0 ? chunk(group, pass.tile) : group.length;
    if (pass.chunks() > 1 && !group.summed.empty()) add_partials(pass, group);
    for (const auto& member : group.members) {
      if (!member.cut.summed || !pass.sums.empty() || is_accumulated(member.cut.step)) continue;
      TiledStep fill{.step = fill_of(member.cut.step)};
      for (size_t outer = 0; outer < level; ++outer) {
        fill.advance[outer][0] = steps[member.position].advance[outer][0];
      }
      result.push_back(fill);
    }
    const int64_t rest = group.length - (group.length - 1) / pass.tile * pass.tile;
    Sizes rest_sizes = sizes;
    pass.body = body(group, steps, pass, pass.tile, nests, uses, sizes);
    pass.last = rest == pass.tile ? pass.body : body(group, steps, pass, rest, nests, uses, rest_sizes);
    result.push_back({.step = std::move(pass)});
  }

  /// The values of the index in a chunk: as many chunks as are worth it, where that doesn't depend on threads.
  int64_t chunk(const Group& group, int64_t tile) const {
    double work = 0, summed = 0;
    for (const auto& member : group.members) work += work_of(member.cut.step);
    for (int buffer : group.summed) {
      // A sum that fills its buffer is added up as a whole, of others there is only one.
      const auto& cut = std::ranges::find_if(group.members, [&](const auto& member) {
                          return buffers_of(member.cut.step)[0] == buffer;
                        })->cut;
      if (elements_touched(cut.step, 0) != size(buffer)) return group.length;
      summed += double(size(buffer));
    }
    double count = std::min(double(kMostChunks), work / double(limits_.chunk));
    if (summed > 0) count = std::min({count, kShareOfSums * work / summed, kMostPartials / summed});
    const int64_t tiles = (group.length + tile - 1) / tile;
    const int64_t chunks = std::clamp<int64_t>(int64_t(count), 1, tiles);
    return (tiles + chunks - 1) / chunks * tile;
  }

  /// Memory for the sums of each chunk.
  void add_partials(Pass& pass, const Group& group) {
    for (int buffer : group.summed) {
      pass.sums.push_back({{buffer, 0}, size(buffer), pass.partial_memory});
      pass.partial_memory += (size(buffer) + kAlignment - 1) / kAlignment * kAlignment;
    }
    pass.operands = 1;
    pass.places[0] = {buffers_.first_intermediate() + int(sizes_.size()), 0};
    sizes_.push_back(pass.partial_memory * pass.chunks());
  }

  /// The members of a group for a tile of `count` values of the index.
  Steps body(const Group& group, const Steps& steps, Pass& pass, int64_t count, bool nests, const Uses& uses,
             Sizes& sizes) {
    const auto level = size_t(pass.level);
    Steps body;
    for (const auto& [position, cut] : group.members) {
      TiledStep& tiled = body.emplace_back(for_tile(cut, count), int(cut.axis), steps[position].advance);
      const std::vector<int> buffers = buffers_of(tiled.step);
      for (size_t k = 0; k < buffers.size(); ++k) {
        if (group.local.contains(buffers[k])) {
          compact(tiled.step, int(k), group.streamed.at(buffers[k]), group.length, count);
        } else {
          tiled.advance[level][k] = cut.advance[k];
        }
      }
      if (cut.summed) accumulate(tiled);
    }
    for (int buffer : group.local) {
      int64_t& size = level == 0 ? sizes[buffer] = this->size(buffer) : sizes.at(buffer);
      size = (size + group.length - 1) / group.length * count;
    }
    if (level == 0 && nests) {
      Uses local_uses;  // others are in use outside the body, too
      for (const auto& [buffer, count] : uses) local_uses[buffer] = group.local.contains(buffer) ? count : kManyUses;
      body = passes(body, 1, 1, local_uses, sizes);
    }
    for (TiledStep& tiled : body) join_loops(tiled.step);
    fuse(body, uses);
    if (level == 0) place_locals(pass, body, sizes);
    return body;
  }

  /// Puts local buffers, of the given sizes, into the memory of the tile, and sums into that of the chunk.
  void place_locals(Pass& pass, Steps& body, const Sizes& sizes) {
    std::vector<Step*> steps;
    for (TiledStep& tiled : body) steps.push_back(&tiled.step);
    const Layout layout = lay_out(steps, sizes);
    pass.tile_memory = std::max(pass.tile_memory, layout.size);
    for (Step* step : steps) {
      for_each_place(*step, [&](Place& place) {
        const auto known = layout.offsets.find(place.buffer);
        const auto sum = std::ranges::find(pass.sums, place.buffer, [](const auto& s) { return s.target.buffer; });
        if (known != layout.offsets.end()) {
          place = {buffers_.tile(), known->second + place.offset};
        } else if (sum != pass.sums.end()) {
          place = {buffers_.partial(), sum->offset + place.offset};
        }
      });
    }
  }

  const Buffers buffers_;
  std::vector<int64_t>& sizes_;
  const StreamLimits limits_;
};

}  // namespace

StreamLimits stream_limits() {
  std::lock_guard lock(mutex);
  return limits;
}

void set_stream_limits(const StreamLimits& wanted) {
  std::lock_guard lock(mutex);
  limits = wanted;
}

void stream(Plan& plan, std::vector<int64_t>& sizes, const std::map<int, Place>& results) {
  Uses uses;
  Steps steps;
  double elements = 0;
  for (Step& step : plan.steps) {
    elements += cost(step).elements;
    for_each_place(step, [&](Place& place) {
      const bool lasts = place.buffer < plan.buffers.first_intermediate() || results.contains(place.buffer);
      uses[place.buffer] += lasts ? kManyUses : 1;
    });
    steps.push_back({.step = std::move(step)});
  }
  fuse_before_passes(steps, uses);
  const StreamLimits limits = stream_limits();
  if (elements >= double(limits.saved)) {
    Sizes sizes_of_locals;
    steps = Streamer(plan.buffers, sizes, limits).passes(steps, 0, double(limits.saved), uses, sizes_of_locals);
  }
  fuse(steps, uses);
  plan.steps.clear();
  for (TiledStep& tiled : steps) plan.steps.push_back(std::move(tiled.step));
}

}  // namespace matgrad::plan
