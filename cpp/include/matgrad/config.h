// Threads, instruction sets and the version.
#pragma once

#include <string>
#include <vector>

namespace matgrad {

/// The version, such as "0.1.0".
std::string version();

/// The number of threads that a computation uses, the calling one included. At first it is what the environment
/// variable MATGRAD_NUM_THREADS says, else the number of CPUs that the process may use; 1 in a forked child. Results do
/// not depend on it. Throws std::invalid_argument if MATGRAD_NUM_THREADS isn't an integer of at least 1.
int get_num_threads();

/// Sets it, at any time. Throws std::invalid_argument if n is less than 1.
void set_num_threads(int n);

/// The instruction sets that matgrad has kernels for and this machine can run, narrowest registers first.
std::vector<std::string> available_isas();

/// The one in use: the last of those, or the one that the environment variable MATGRAD_ISA names. Throws
/// std::invalid_argument if it names one that is unknown or that this machine cannot run.
std::string active_isa();

}  // namespace matgrad
