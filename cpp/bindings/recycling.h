// Memory of large results: what one leaves is kept for the next, as fresh pages cost more than what is written to them.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>

namespace matgrad::bindings {

/// Results of at least that many bytes have recycled memory.
constexpr size_t kLeastRecycled = size_t(1) << 24;

/// Memory, and a Python object that owns it: when it goes, the memory is kept for the next result of about that size,
/// or given back to the system if too much is kept already. Throws std::bad_alloc.
struct RecycledMemory {
  void* begin;
  pybind11::capsule owner;
};
RecycledMemory recycled_memory(size_t bytes);

}  // namespace matgrad::bindings
