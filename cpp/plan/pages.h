// Pages of mapped files: those that have been read are given back, so that files larger than memory can be read.
#pragma once

#include <cstddef>

namespace matgrad::plan {

/// Lets go of the pages that lie within a range of a shared file mapping. They stay in the file, and in the system's
/// cache of it while there is room, and return when they are read again.
void release_pages(const void* begin, size_t bytes);

}  // namespace matgrad::plan
