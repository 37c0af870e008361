// A small pool of threads: chunks of work dealt in a fixed order.
#include "plan/threads.h"

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "plan/cpu_count.h"

namespace matgrad::threads {
namespace {

using Clock = std::chrono::steady_clock;

/// How often a computation asks whether it is interrupted.
constexpr auto kCheckInterval = std::chrono::milliseconds(40);

/// How long a thread watches for what it waits for before it goes to sleep. Waking a sleeping thread costs as much.
constexpr auto kWatch = std::chrono::microseconds(20);

/// The innermost Interruptible on this thread.
thread_local constinit Interruptible* interruptible = nullptr;

/// How many checks of Interruptible are under way on this thread.
thread_local constinit int checks = 0;

/// How many Serial objects live on this thread.
thread_local constinit int serial = 0;

/// Counts the forks between the first process and this one.
int forks = 0;

/// One call of parallel_for.
class Job {
 public:
  Job(int64_t chunks, ChunkFunction task) : task_(task), chunks_(chunks) {}

  /// Computes the next chunk; false if none is left.
  bool step() {
    int64_t chunk = next_.fetch_add(1, std::memory_order_relaxed);
    if (chunk >= chunks_) return false;
    try {
      task_(chunk);
    } catch (...) {
      drop(std::current_exception());
    }
    return true;
  }

  /// Computes chunks on the calling thread of parallel_for until none is left.
  void run_interruptibly() {
    while (step()) check_interruption();
  }

  /// Drops the remaining chunks if the calling thread is interrupted.
  void check_interruption() {
    if (interruptible == nullptr || dropped_) return;
    if (interruptible->interrupted()) drop(std::make_exception_ptr(Interrupted()));
  }

  /// Rethrows the exception that ended the job early, if one did.
  void finish() {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void drop(std::exception_ptr error) {
    next_.store(chunks_, std::memory_order_relaxed);
    if (!dropped_.exchange(true)) error_ = error;
  }

  ChunkFunction task_;
  int64_t chunks_;
  std::atomic<int64_t> next_{0};
  std::atomic<bool> dropped_{false};
  std::exception_ptr error_;
};

/// Watches for a condition for a short moment; returns whether it came true.
template <class Condition>
bool watch(const Condition& condition) {
  if (condition()) return true;
  const Clock::time_point end = Clock::now() + kWatch;
  do {
    std::this_thread::yield();  // on a busy machine, what is waited for may need this very CPU
    if (condition()) return true;
  } while (Clock::now() < end);
  return false;
}

/// Workers that sleep until there is a job.
class Pool {
 public:
  /// Computes a job with up to `helpers` workers; false if the pool is taken and nothing was done.
  bool run(Job& job, int helpers) {
    if (taken_.exchange(true, std::memory_order_acquire)) return false;
    int forks_before = forks;
    {
      std::lock_guard lock(mutex_);
      if (ending_) return false;
      hire(helpers);
      job_ = &job;
      wanted_ = std::min(helpers, int(workers_.size()));
    }
    for (int worker = 0; worker < helpers; ++worker) wake_.notify_one();
    job.run_interruptibly();
    {
      std::unique_lock lock(mutex_);
      wanted_ = 0;  // a worker that has not come by now is not waited for
    }
    auto idle = [&] { return active_ == 0; };
    if (!watch(idle)) {
      std::unique_lock lock(mutex_);
      while (!idle_.wait_for(lock, kCheckInterval, idle)) {
        lock.unlock();
        job.check_interruption();
        lock.lock();
      }
    }
    if (forks != forks_before) throw std::runtime_error("a signal handler forked in the middle of a computation");
    taken_.store(false, std::memory_order_release);
    return true;
  }

  /// Ends all workers; from now on, run returns false.
  void end() {
    std::vector<std::thread> workers;
    {
      std::lock_guard lock(mutex_);
      ending_ = true;
      workers.swap(workers_);
    }
    wake_.notify_all();
    for (std::thread& worker : workers) worker.join();
  }

 private:
  /// Starts workers until there are `count`, or as many as the system allows.
  void hire(int count) {
    if (int(workers_.size()) >= count) return;
    // Signals are for the threads of the program, except for those that a fault in the worker itself raises.
    sigset_t signals, before;
    sigfillset(&signals);
    for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP}) sigdelset(&signals, fault);
    pthread_sigmask(SIG_SETMASK, &signals, &before);
    try {
      while (int(workers_.size()) < count) workers_.emplace_back([this] { work(); });
    } catch (const std::exception&) {  // no more threads, or no memory for one: go on with those there are
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void work() {
    for (;;) {
      watch([&] { return wanted_ > 0 || ending_; });
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return wanted_ > 0 || ending_; });
      if (ending_) return;
      --wanted_;
      ++active_;
      Job& job = *job_;
      lock.unlock();
      while (!ending_ && job.step()) continue;
      lock.lock();
      if (--active_ == 0) idle_.notify_one();
    }
  }

  std::atomic<bool> taken_{false};
  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  std::vector<std::thread> workers_;
  Job* job_ = nullptr;
  std::atomic<int> wanted_{0};  ///< workers that may still join the job
  std::atomic<int> active_{0};  ///< workers computing the job
  std::atomic<bool> ending_{false};
};

// Never destroyed: a thread that outlives main may still compute.
alignas(Pool) std::byte pool_storage[sizeof(Pool)];
Pool& pool = *new (pool_storage) Pool;

/// num_threads(), or 0 before it is known.
std::atomic<int> thread_count{0};

/// A forked child has none of its parent's workers, and the pool's mutex in any state: it starts with a new pool.
void after_fork_in_child() {
  ++forks;
  new (pool_storage) Pool;
  thread_count = 1;
}

/// Ends the workers when the process exits or the library is unloaded.
struct Ending {
  Ending() { pthread_atfork(nullptr, nullptr, after_fork_in_child); }
  ~Ending() { pool.end(); }
} ending;

int initial_num_threads() {
  const char* text = std::getenv("MATGRAD_NUM_THREADS");
  if (text == nullptr || *text == '\0') return available_cpus();
  int n = 0;
  const char* end = text + std::strlen(text);
  auto [rest, error] = std::from_chars(text, end, n);
  if (error != std::errc() || rest != end || n < 1) {
    throw std::invalid_argument("MATGRAD_NUM_THREADS is '" + std::string(text) +
                                "' but must be an integer of at least 1");
  }
  return n;
}

}  // namespace

void parallel_for(int64_t chunks, ChunkFunction task) {
  if (chunks == 1) return task(0);
  Job job(chunks, task);
  int helpers = serial > 0 ? 0 : int(std::min<int64_t>(num_threads(), chunks)) - 1;
  if (helpers <= 0 || !pool.run(job, helpers)) job.run_interruptibly();
  job.finish();
}

Serial::Serial() {
  ++serial;
}

Serial::~Serial() {
  --serial;
}

int num_threads() {
  int n = thread_count.load(std::memory_order_relaxed);
  if (n > 0) return n;
  int initial = initial_num_threads();
  return thread_count.compare_exchange_strong(n, initial) ? initial : n;
}

void set_num_threads(int n) {
  if (n < 1) throw std::invalid_argument("set_num_threads: n is " + std::to_string(n) + " but must be at least 1");
  thread_count = n;
}

Interruptible::Interruptible(Check check, void* context) : check_(check), context_(context), outer_(interruptible) {
  interruptible = this;
}

Interruptible::~Interruptible() {
  interruptible = outer_;
}

bool Interruptible::interrupted() {
  Clock::time_point now = Clock::now();
  if (asked_ == Clock::time_point{}) asked_ = now;
  if (now - asked_ < kCheckInterval) return false;
  asked_ = now;
  struct Suspension {
    Suspension() { ++checks; }
    ~Suspension() { --checks; }
  } suspension;
  return check_(context_);
}

int suspended() {
  return checks;
}

}  // namespace matgrad::threads
