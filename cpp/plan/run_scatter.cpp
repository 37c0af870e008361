// Steps that scatter cores.
#include <vector>

#include "plan/run.h"
#include "plan/scatter.h"

namespace matgrad::plan {

template <class T>
void run(const Scatter& step, const Pointers<T>& at) {
  std::vector<kernels::Scattered<T>> cores;
  for (size_t k = 0; k < step.cores.size(); ++k) {
    const Scatter::Core& core = step.cores[k];
    auto& made = cores.emplace_back(kernels::Scattered<T>{at[k + 1], T(core.scale), core.offset, 0, {}});
    for (const Loop& loop : core.nest) made.loops[made.depth++] = {loop.length, loop.strides[0], loop.strides[1]};
  }
  scatter<T>(1, step.size, [&](int64_t) -> const auto& { return cores; }, [&](int64_t) { return at[0]; });
}

template void run(const Scatter&, const Pointers<float>&);
template void run(const Scatter&, const Pointers<double>&);

}  // namespace matgrad::plan
