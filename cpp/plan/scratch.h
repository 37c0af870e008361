// Memory for intermediate results that a thread keeps between calls, so that a call allocates nothing but its result.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <vector>

#include "plan/threads.h"

namespace matgrad {

/// Memory of one purpose, aligned to cache lines. Use as a function-local `static thread_local Scratch`.
class Scratch {
 public:
  /// Room for `count` elements, valid until the next call; contents are unspecified. A computation in the middle of
  /// which a signal handler computes keeps its memory: the handler's computations get other memory.
  template <class T>
  T* get(size_t count) {
    const size_t level = size_t(threads::suspended());
    if (level >= blocks_.size()) blocks_.resize(level + 1);
    Block& block = blocks_[level];
    const size_t bytes = count * sizeof(T);
    if (bytes > block.capacity) {
      block = Block{};
      block.memory.reset(static_cast<std::byte*>(::operator new(bytes, kAlignment)));
      block.capacity = bytes;
    }
    return reinterpret_cast<T*>(block.memory.get());
  }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Delete {
    void operator()(std::byte* p) const { ::operator delete(p, kAlignment); }
  };
  struct Block {
    std::unique_ptr<std::byte, Delete> memory;
    size_t capacity = 0;
  };
  std::vector<Block> blocks_;  // by the number of suspended computations
};

}  // namespace matgrad
