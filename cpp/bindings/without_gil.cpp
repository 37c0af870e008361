// Computing without the GIL: other Python threads run meanwhile, and Ctrl-C interrupts.
#include "bindings/without_gil.h"

#include <pthread.h>
#include <unistd.h>

namespace matgrad::bindings {
namespace {

/// Python's name for the thread that runs its signal handlers.
unsigned long main_thread = 0;

}  // namespace

WithoutGil::~WithoutGil() {
  try {
    PyEval_RestoreThread(state_);
  } catch (...) {
    // Python is shutting down, and before version 3.14 ends a thread that asks for the GIL by unwinding its stack. That
    // would destroy Python objects without the GIL; as later versions do, let the thread hang until the process is
    // gone.
    for (;;) pause();
  }
}

bool WithoutGil::handle_signals(void* self) {
  if (PyThread_get_thread_ident() != main_thread) return false;
  auto& state = static_cast<WithoutGil*>(self)->state_;
  PyEval_RestoreThread(state);
  bool raised = PyErr_CheckSignals() != 0;
  state = PyEval_SaveThread();
  return raised;
}

void find_main_thread() {
  namespace py = pybind11;
  main_thread = py::module_::import("threading").attr("main_thread")().attr("ident").cast<unsigned long>();
  pthread_atfork(nullptr, nullptr, [] { main_thread = PyThread_get_thread_ident(); });
}

}  // namespace matgrad::bindings
