// Whether arrays fit in memory, found out before any is allocated.
#include "plan/available_memory.h"

#include <unistd.h>

#include <cstdio>

namespace matgrad::plan {
namespace {

/// Bytes of memory that this process could still get, as well as can be told.
double available_memory() {
  double bytes = double(sysconf(_SC_PHYS_PAGES)) * double(sysconf(_SC_PAGE_SIZE));
  if (std::FILE* file = std::fopen("/proc/meminfo", "r")) {
    char line[256];
    double kilobytes = 0;
    while (std::fgets(line, sizeof line, file)) {
      if (std::sscanf(line, "MemAvailable: %lf kB", &kilobytes) == 1) bytes = kilobytes * 1024;
    }
    std::fclose(file);
  }
  return bytes;
}

}  // namespace

std::string shape_text(std::span<const int64_t> shape) {
  std::string text = "(";
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (axis > 0) text += ", ";
    text += std::to_string(shape[axis]);
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

void require_memory(const char* function, const char* what, std::span<const int64_t> shape, int64_t item_size,
                    const char* advice) {
  double bytes = double(item_size);
  for (int64_t length : shape) bytes *= double(length);
  constexpr double kAlwaysFits = double(1 << 28);
  if (bytes <= kAlwaysFits || bytes <= available_memory()) return;
  char size[32];
  std::snprintf(size, sizeof size, "%.1f GiB", bytes / double(1 << 30));
  throw OutOfMemory(std::string(function) + ": " + what + " of shape " + shape_text(shape) + " needs " + size +
                    ", more than the available memory" + advice);
}

}  // namespace matgrad::plan
