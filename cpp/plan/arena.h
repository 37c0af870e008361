// Where intermediate results are: memory is reused once what was in it isn't needed any more.
#pragma once

#include <map>
#include <vector>

#include "plan/step.h"

namespace matgrad::plan {

/// Replaces the intermediate buffers in a plan's steps, of the given sizes, by parts of one arena, or by the places
/// that are given for some.
void assign_places(Plan& plan, const std::vector<int64_t>& sizes, std::map<int, Place> places);

}  // namespace matgrad::plan
