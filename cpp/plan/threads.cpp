// A small pool of threads: chunks of work dealt in a fixed order.
#include "plan/threads.h"

namespace matgrad::threads {

void parallel_for(int64_t chunks, ChunkFunction task) {
  for (int64_t chunk = 0; chunk < chunks; ++chunk) task(chunk);
}

int num_threads() {
  return 1;
}

void set_num_threads(int) {}

}  // namespace matgrad::threads
