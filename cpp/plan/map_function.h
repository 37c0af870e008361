// The kernels of elementwise functions, found by name.
#pragma once

#include "expr/op.h"

namespace matgrad::plan {

/// The row of an elementwise function in the kernels' table of that many operands; kNoKernel if it is to be computed by
/// its value, element by element. Throws std::invalid_argument if there is neither.
int find_kernel(const expr::Op& op);

}  // namespace matgrad::plan
