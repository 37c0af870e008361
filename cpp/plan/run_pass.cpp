// Passes: their steps run for one tile after another, and chunks of tiles are dealt to threads.
#include <algorithm>
#include <optional>
#include <vector>

#include "kernels/dispatch.h"
#include "plan/chunks.h"
#include "plan/pages.h"
#include "plan/run.h"
#include "plan/scratch.h"
#include "plan/shape.h"
#include "plan/threads.h"

namespace matgrad::plan {
namespace {

using Position = std::array<int64_t, kMostLevels>;

template <class T>
void run_tiles(const Pass& pass, T* const* memory, Position position, int64_t first, int64_t last);

/// Runs the steps of a pass for one tile, at a position of the streamed indices.
template <class T>
void run_tile(const std::vector<TiledStep>& steps, T* const* memory, const Position& position) {
  for (const TiledStep& tiled : steps) {
    if (const auto* pass = std::get_if<Pass>(&tiled.step)) {
      run_tiles(*pass, memory, position, 0, pass->length);
      continue;
    }
    std::visit(
        [&](const auto& step) {
          Pointers<T> at{};
          for (size_t k = 0; k < kMaxOperands; ++k) {
            at[k] = memory[step.places[k].buffer] + step.places[k].offset;
            for (size_t level = 0; level < kMostLevels; ++level) at[k] += position[level] * tiled.advance[level][k];
          }
          if constexpr (!std::is_same_v<std::decay_t<decltype(step)>, Pass>) run<T>(step, at);
        },
        tiled.step);
  }
}

/// Runs a pass for values [first, last) of its index.
template <class T>
void run_tiles(const Pass& pass, T* const* memory, Position position, int64_t first, int64_t last) {
  for (int64_t begin = first; begin < last; begin += pass.tile) {
    position[size_t(pass.level)] = begin;
    run_tile(begin + pass.tile <= pass.length ? pass.body : pass.last, memory, position);
  }
}

/// target = Σ parts, `stride` apart.
template <class T>
void add_up(int64_t size, int64_t count, const T* parts, int64_t stride, T* target) {
  const auto& arithmetic = kernels::table<T>().arithmetic;
  threads::parallel_ranges(size, kElementsPerChunk, [&](int64_t first, int64_t last) {
    std::copy(parts + first, parts + last, target + first);
    for (int64_t k = 1; k < count; ++k) {
      arithmetic.combine(last - first, 1, target + first, 1, 1, parts + k * stride + first, 1, target + first);
    }
  });
}

/// An input that is a mapped file and ends there, of which a pass reads `advance` elements for each value of its index.
template <class T>
struct Mapped {
  const T *begin, *end;
  int64_t advance;

  /// Gives back what was read for values [first, last) of the index; what is beyond the end is something else's.
  void release(int64_t first, int64_t last) const {
    const T *from = begin + first * advance, *to = std::min(end, begin + last * advance);
    if (from < to) release_pages(from, size_t(to - from) * sizeof(T));
  }
};

/// The mapped files that steps read along the index of the outer pass.
template <class T>
void find_mapped(const std::vector<TiledStep>& steps, const Memory<T>& memory, std::vector<Mapped<T>>& found) {
  for (const TiledStep& tiled : steps) {
    if (const auto* pass = std::get_if<Pass>(&tiled.step)) find_mapped(pass->body, memory, found);
    std::visit(
        [&](const auto& step) {
          for (size_t k = 1; k < size_t(step.operands); ++k) {
            const Place& place = step.places[k];
            if (place.buffer >= memory.numbers.inputs || !memory.is_mapped[place.buffer]) continue;
            if (tiled.advance[0][k] > 0) {
              const T* const begin = memory.begins[place.buffer];
              const Argument& argument = memory.arguments[size_t(place.buffer)];
              found.push_back(
                  {begin + place.offset, begin + extent(argument.shape, argument.strides).second, tiled.advance[0][k]});
            }
          }
        },
        tiled.step);
  }
}

/// Values of the index after which pages of mapped files are given back.
template <class T>
int64_t values_held(const Pass& pass, const std::vector<Mapped<T>>& mapped) {
  constexpr int64_t kHeld = int64_t(8) << 20;  // bytes
  int64_t bytes = 1;
  for (const Mapped<T>& file : mapped) bytes = std::max(bytes, file.advance * int64_t(sizeof(T)));
  return std::max<int64_t>(1, kHeld / (bytes * pass.tile)) * pass.tile;
}

}  // namespace

template <class T>
void run(const Pass& pass, const Memory<T>& memory) {
  const Buffers& buffers = memory.numbers;
  T* partials = pass.sums.empty() ? nullptr : memory.begins[pass.places[0].buffer] + pass.places[0].offset;
  std::vector<Mapped<T>> mapped;
  find_mapped(pass.body, memory, mapped);
  const int64_t held = mapped.empty() ? pass.chunk : std::min(pass.chunk, values_held(pass, mapped));
  threads::parallel_for(pass.chunks(), [&](int64_t chunk) {
    static thread_local Scratch scratch;
    std::optional<threads::Serial> serial;  // a single chunk leaves the threads to its steps
    if (pass.chunks() > 1) serial.emplace();
    std::array<T*, kFewBuffers> few;
    std::vector<T*> many(size_t(buffers.count()) > kFewBuffers ? size_t(buffers.count()) : 0);
    T** own = many.empty() ? few.data() : many.data();
    std::copy_n(memory.begins, buffers.count(), own);
    own[size_t(buffers.tile())] = scratch.get<T>(size_t(pass.tile_memory));
    if (partials != nullptr) {
      T* partial = partials + chunk * pass.partial_memory;
      std::fill_n(partial, pass.partial_memory, T(0));
      own[size_t(buffers.partial())] = partial;
    }
    const int64_t end = std::min(pass.length, (chunk + 1) * pass.chunk);
    for (int64_t first = chunk * pass.chunk; first < end; first += held) {
      const int64_t last = std::min(end, first + held);
      run_tiles<T>(pass, own, {}, first, last);
      for (const Mapped<T>& file : mapped) file.release(first, last);
    }
  });
  for (const Pass::Sum& sum : pass.sums) {
    add_up(sum.size, pass.chunks(), partials + sum.offset, pass.partial_memory,
           memory.begins[sum.target.buffer] + sum.target.offset);
  }
}

template void run(const Pass&, const Memory<float>&);
template void run(const Pass&, const Memory<double>&);

}  // namespace matgrad::plan
