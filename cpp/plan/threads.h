// A small pool of threads: chunks of work dealt in a fixed order.
#pragma once

#include <cstdint>

namespace matgrad::threads {

/// A reference to a callable void(int64_t chunk), valid while the call it is passed to lasts.
class ChunkFunction {
 public:
  template <class F>
  ChunkFunction(const F& f)  // NOLINT: implicit, as with std::function
      : object_(&f), call_([](const void* object, int64_t chunk) { (*static_cast<const F*>(object))(chunk); }) {}
  void operator()(int64_t chunk) const { call_(object_, chunk); }

 private:
  const void* object_;
  void (*call_)(const void*, int64_t);
};

/// Calls task(chunk) for every chunk in [0, chunks), on the pool and the calling thread, and returns when all are done.
/// How work is cut into chunks must not depend on the number of threads; then neither does the result.
void parallel_for(int64_t chunks, ChunkFunction task);

/// The number of threads that parallel_for uses, the calling one included.
int num_threads();

/// Sets num_threads(); count must be at least 1.
void set_num_threads(int count);

}  // namespace matgrad::threads
