// The kernels of elementwise functions, found by name.
#pragma once

#include "expr/op.h"

namespace matgrad::plan {

/// The row of an elementwise function in the kernels' table of that many operands. Throws std::logic_error if there is
/// none.
int find_kernel(const expr::Op& op);

}  // namespace matgrad::plan
