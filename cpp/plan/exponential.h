// The exponential of a matrix.
#pragma once

#include <cstdint>

namespace matgrad::plan {

/// A = eᴬ for an n×n matrix.
template <class T>
void exponential(int64_t n, T* A);

}  // namespace matgrad::plan
