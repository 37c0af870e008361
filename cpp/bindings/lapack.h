// LAPACK as SciPy has it.
#pragma once

namespace matgrad::bindings {

/// Takes LAPACK's functions from scipy.linalg.cython_lapack, the first time that it's called.
void load_lapack();

}  // namespace matgrad::bindings
