// Special functions as SciPy has them.
#pragma once

namespace matgrad::bindings {

/// Supplies the values that the table of operations lacks from scipy.special.cython_special, the first time that it's
/// called.
void load_special_functions();

}  // namespace matgrad::bindings
