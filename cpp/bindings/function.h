// Compiled expressions as functions of arrays: what they are made of, and the call.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "bindings/arrays.h"
#include "plan/program.h"

namespace matgrad::bindings {

/// Expressions, compiled.
struct Compiled {
  /// What errors call it.
  const char* called;
  plan::Program program;
  std::vector<std::string> names;  ///< of the arguments
  bool single;                     ///< whether there is one result, not a tuple of them
  py::tuple definition{};          ///< the arguments of the constructor
  /// The same for stacks of arguments, by which of them are stacks.
  std::map<std::vector<bool>, std::unique_ptr<Compiled>> of_stacks{};
  std::mutex mutex{};  ///< of what is added to of_stacks
};

/// The results for as many arguments as there are names, written to `out` unless it is None.
py::object call_function(const Compiled& compiled, PyObject* const* arguments, PyObject* out);

/// Whether every argument has the axes of its symbol, or one more in front, whose length is that of all others.
bool are_one_stack(const Compiled& compiled, PyObject* const* arguments);

/// The results for such arguments; those without an axis more are shared.
py::object map_function(Compiled& compiled, PyObject* const* arguments, PyObject* out);

}  // namespace matgrad::bindings
