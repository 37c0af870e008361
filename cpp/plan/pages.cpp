// Pages of mapped files: those that have been read are given back, so that files larger than memory can be read.
#include "plan/pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace matgrad::plan {

void release_pages(const void* begin, size_t bytes) {
  static const auto page = uintptr_t(sysconf(_SC_PAGESIZE));
  const auto first = (uintptr_t(begin) + page - 1) / page * page, last = (uintptr_t(begin) + bytes) / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace matgrad::plan
