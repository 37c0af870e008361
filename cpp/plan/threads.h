// A small pool of threads: chunks of work dealt in a fixed order.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>

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
/// How work is cut into chunks must not depend on the number of threads; then neither does the result. While the pool
/// is taken, by another thread or by a call further up, all chunks run on the calling thread. An exception that a chunk
/// throws is rethrown here, after the chunks under way have ended; those not yet begun are dropped.
void parallel_for(int64_t chunks, ChunkFunction task);

/// Calls task(begin, end) for the ranges that [0, total) is cut into, each of length `grain` but for the last.
template <class F>
void parallel_ranges(int64_t total, int64_t grain, const F& task) {
  parallel_for((total + grain - 1) / grain,
               [&](int64_t chunk) { task(chunk * grain, std::min(total, (chunk + 1) * grain)); });
}

/// While it lives, parallel_for on this thread runs all chunks on this thread.
class Serial {
 public:
  Serial();
  ~Serial();
  Serial(const Serial&) = delete;
  Serial& operator=(const Serial&) = delete;
};

/// The number of threads that parallel_for uses, the calling one included. At first it is what MATGRAD_NUM_THREADS
/// says, else the number of CPUs that this process may use; 1 in a forked child. Throws std::invalid_argument if
/// MATGRAD_NUM_THREADS isn't an integer of at least 1.
int num_threads();

/// Sets num_threads(), at any time. Throws std::invalid_argument if n is less than 1.
void set_num_threads(int n);

/// Thrown by parallel_for when it was interrupted.
struct Interrupted : std::exception {
  const char* what() const noexcept override { return "interrupted"; }
};

/// How many computations of this thread are suspended, each by a check of Interruptible that lasts: such a check may
/// run a signal handler, which may compute.
int suspended();

/// While it lives, parallel_for on this thread asks check(context) some twenty times a second, between chunks, whether
/// it is to stop; if so, the chunks not yet begun are dropped and it throws Interrupted.
class Interruptible {
 public:
  using Check = bool (*)(void* context);
  Interruptible(Check check, void* context);
  ~Interruptible();
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

  /// Whether to stop. Asks only if the last time was a while ago.
  bool interrupted();

 private:
  Check check_;
  void* context_;
  Interruptible* outer_;
  std::chrono::steady_clock::time_point asked_{};
};

}  // namespace matgrad::threads
