// Memory of large results: what one leaves is kept for the next, as fresh pages cost more than what is written to them.
#include "bindings/recycling.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

namespace matgrad::bindings {
namespace {

/// The most bytes that are kept.
constexpr size_t kMostKept = size_t(1) << 28;
/// Memory begins at a multiple of this many bytes, that of a huge page.
constexpr size_t kAlignment = size_t(1) << 21;

struct Block {
  void* begin;
  size_t bytes;
};

/// Blocks that are kept, the latest at the end. Where the lock is taken, in a forked child perhaps for good, nothing is
/// kept and nothing is found.
struct Kept {
  Kept() { blocks.reserve(kMostKept / kLeastRecycled + 1); }  // giving back allocates nothing
  std::mutex mutex{};
  std::vector<Block> blocks{};
  size_t bytes = 0;
};

Kept& kept() {
  static auto& kept = *new Kept;  // never destroyed: results may outlive what is destroyed at the end
  return kept;
}

Block allocate(size_t bytes) {
  const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  void* begin = std::aligned_alloc(kAlignment, rounded);
  if (begin == nullptr) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  madvise(begin, rounded, MADV_HUGEPAGE);
#endif
  return {begin, rounded};
}

/// A block of that size, or up to a quarter larger.
Block take(size_t bytes) {
  Kept& all = kept();
  const std::unique_lock lock(all.mutex, std::try_to_lock);
  if (lock) {
    const auto found = std::ranges::find_if(
        all.blocks, [&](const Block& block) { return block.bytes >= bytes && block.bytes <= bytes + bytes / 4; });
    if (found != all.blocks.end()) {
      const Block block = *found;
      all.blocks.erase(found);
      all.bytes -= block.bytes;
      return block;
    }
  }
  return allocate(bytes);
}

/// Keeps a block, in place of older ones if need be.
void give_back(const Block& block) {
  Kept& all = kept();
  const std::unique_lock lock(all.mutex, std::try_to_lock);
  if (!lock || block.bytes > kMostKept) return std::free(block.begin);
  while (all.bytes + block.bytes > kMostKept) {
    all.bytes -= all.blocks.front().bytes;
    std::free(all.blocks.front().begin);
    all.blocks.erase(all.blocks.begin());
  }
  all.blocks.push_back(block);
  all.bytes += block.bytes;
}

}  // namespace

RecycledMemory recycled_memory(size_t bytes) {
  auto block = std::make_unique<Block>(take(bytes));
  void* begin = block->begin;
  return {begin, pybind11::capsule(block.release(), [](void* pointer) {
            const std::unique_ptr<Block> owned(static_cast<Block*>(pointer));
            give_back(*owned);
          })};
}

}  // namespace matgrad::bindings
