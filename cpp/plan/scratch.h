// Memory for intermediate results that a thread keeps between calls, so that a call allocates nothing but its result.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace matgrad {

/// Memory of one purpose, aligned to cache lines. Use as a function-local `static thread_local Scratch`.
class Scratch {
 public:
  /// Room for `count` elements, valid until the next call; contents are unspecified.
  template <class T>
  T* get(size_t count) {
    size_t bytes = count * sizeof(T);
    if (bytes > capacity_) {
      memory_.reset();
      capacity_ = 0;
      memory_.reset(static_cast<std::byte*>(::operator new(bytes, kAlignment)));
      capacity_ = bytes;
    }
    return reinterpret_cast<T*>(memory_.get());
  }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Delete {
    void operator()(std::byte* p) const { ::operator delete(p, kAlignment); }
  };
  std::unique_ptr<std::byte, Delete> memory_;
  size_t capacity_ = 0;
};

}  // namespace matgrad
