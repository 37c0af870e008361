// Results of functions: the arrays that `out` gives for them, and the errors instead of them.
#pragma once

#include <new>
#include <stdexcept>

#include "bindings/arrays.h"
#include "expr/build.h"
#include "plan/available_memory.h"

namespace matgrad::bindings {

/// Work below this many elements, read and written, isn't worth releasing the GIL for.
constexpr int64_t kKeepGil = 1 << 12;

/// Raises unless `given` is an array of T of that shape that can be written to.
template <class T>
void check_out(const char* function, PyObject* given, Shape shape);

/// Raises unless `out` is None or a tuple of `count` items.
void check_out_tuple(const char* function, PyObject* out, size_t count);

/// Raises ValueError if two of the arrays in a tuple `out` share memory.
void check_distinct(const char* function, PyObject* out);

/// What compute() returns, or null with a Python error set.
template <class F>
PyObject* with_python_errors(const char* function, const F& compute) {
  try {
    return compute().release().ptr();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const py::builtin_exception& error) {
    error.set_error();
  } catch (const std::invalid_argument& error) {
    PyErr_Format(PyExc_ValueError, "%s: %s", function, error.what());
  } catch (const std::out_of_range& error) {
    PyErr_Format(PyExc_IndexError, "%s: %s", function, error.what());
  } catch (const expr::ShapeError& error) {
    PyErr_SetString(PyExc_ValueError, error.what());
  } catch (const plan::OutOfMemory& error) {
    PyErr_SetString(PyExc_MemoryError, error.what());
  } catch (const std::bad_alloc&) {
    PyErr_Format(PyExc_MemoryError, "%s: not enough memory for intermediate results", function);
  } catch (const std::exception& error) {
    PyErr_Format(PyExc_RuntimeError, "%s: %s", function, error.what());
  }
  return nullptr;
}

}  // namespace matgrad::bindings
