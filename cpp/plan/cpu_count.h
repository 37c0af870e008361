// How many CPUs this process may use at once.
#pragma once

namespace matgrad {

/// The CPUs that the process may run on, at most as many as the quotas of its cgroups pay for; at least 1.
int available_cpus();

}  // namespace matgrad
