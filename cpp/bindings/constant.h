// Constant arrays of expressions, from and to NumPy.
#pragma once

#include "bindings/arrays.h"
#include "expr/build.h"

namespace matgrad::bindings {

/// A copy of an array that is C-contiguous, float32 or float64.
expr::Expr constant(const py::array& object);
py::array to_array(const expr::Array& constant);

}  // namespace matgrad::bindings
