// Fusion of neighbouring steps into one, so that what one leaves for the other is never stored.
#pragma once

#include <map>
#include <vector>

#include "plan/step.h"

namespace matgrad::plan {

/// Joins scalings with the steps before or after them, and makes one step of exp(x − logsumexp(x)) where the logarithm
/// isn't wanted otherwise. `uses` counts the uses of each buffer by these steps and others.
void fuse_before_passes(std::vector<TiledStep>& steps, const std::map<int, int>& uses);

/// Joins scalings with the steps before or after them, and products of matrices with the sums that they are terms of,
/// which could not be cut any more along what they sum over.
void fuse(std::vector<TiledStep>& steps, const std::map<int, int>& uses);

}  // namespace matgrad::plan
