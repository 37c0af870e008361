// Fusion of neighbouring steps into one, so that what one leaves for the other is never stored.
#pragma once

#include <map>
#include <vector>

#include "plan/step.h"

namespace matgrad::plan {

/// Joins scalings with the steps before or after them, and products of matrices with the sums that they are terms of.
/// `uses` counts the uses of each buffer by these steps and others.
void fuse(std::vector<TiledStep>& steps, const std::map<int, int>& uses);

}  // namespace matgrad::plan
