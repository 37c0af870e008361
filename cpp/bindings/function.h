// Compiled expressions as functions of arrays: what they are made of, and the call.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bindings/arrays.h"
#include "plan/program.h"

namespace matgrad::bindings {

/// What errors call a function.
constexpr const char* kFunction = "Function";

/// Expressions, compiled.
struct Compiled {
  plan::Program program;
  std::vector<std::string> names;  ///< of the arguments
  bool single;                     ///< whether there is one result, not a tuple of them
  py::tuple definition;            ///< the arguments of the constructor
};

/// The results for as many arguments as there are names, written to `out` unless it is None.
py::object call_function(const Compiled& compiled, PyObject* const* arguments, PyObject* out);

/// The plan for these arguments. Raises ValueError where they don't fit.
std::shared_ptr<const plan::Plan> plan_for(const Compiled& compiled, const std::vector<plan::Argument>& arguments);

}  // namespace matgrad::bindings
