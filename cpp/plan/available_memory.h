// Whether arrays fit in memory, found out before any is allocated.
#pragma once

#include <cstdint>
#include <new>
#include <span>
#include <string>
#include <utility>

namespace matgrad::plan {

/// Thrown instead of allocating what can't fit in memory.
struct OutOfMemory : std::bad_alloc {
  explicit OutOfMemory(std::string what) : message(std::move(what)) {}
  const char* what() const noexcept override { return message.c_str(); }
  std::string message;
};

/// What to do about a derivative that is too large.
inline constexpr const char* kAdviceOnMemory = "; .structured(...) keeps a derivative without expanding it";

/// "(3, 4)", as Python prints a shape.
std::string shape_text(std::span<const int64_t> shape);

/// Throws OutOfMemory if an array of this shape cannot fit in memory: "function: what of shape … needs …", then advice.
void require_memory(const char* function, const char* what, std::span<const int64_t> shape, int64_t item_size,
                    const char* advice);

}  // namespace matgrad::plan
