// Computing without the GIL: other Python threads run meanwhile, and Ctrl-C interrupts.
#pragma once

#include <pybind11/pybind11.h>

#include "plan/threads.h"

namespace matgrad::bindings {

/// Releases the GIL while it lives, and lets Python's signal handlers interrupt threads::parallel_for.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()), interruptible_(&handle_signals, this) {}
  ~WithoutGil();
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  /// Runs the handlers of signals that have arrived; returns whether one raised, leaving its exception set.
  static bool handle_signals(void* self);

  PyThreadState* state_;
  threads::Interruptible interruptible_;
};

/// Calls compute() without the GIL. If a signal handler raises, so does this.
template <class F>
void without_gil(const F& compute) {
  try {
    WithoutGil released;
    compute();
  } catch (const threads::Interrupted&) {
    throw pybind11::error_already_set();
  }
}

/// Finds out which thread runs Python's signal handlers; called when the module is imported.
void find_main_thread();

}  // namespace matgrad::bindings
