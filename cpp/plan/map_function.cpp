// The kernels of elementwise functions, found by name.
#include "plan/map_function.h"

#include <stdexcept>
#include <string>
#include <string_view>

#include "kernels/dispatch.h"

namespace matgrad::plan {

int find_kernel(const expr::Op& op) {
  const auto& map = kernels::table<double>().map;
  auto find = [&](const auto* rows, int64_t count) {
    for (int64_t k = 0; k < count; ++k) {
      if (std::string_view(rows[k].name) == op.name) return int(k);
    }
    throw std::logic_error("no kernel computes " + std::string(op.name));
  };
  if (op.arity == 1) return find(map.functions, map.count);
  if (op.arity == 2) return find(map.binary, map.binary_count);
  return 0;  // where is the only one of three operands
}

}  // namespace matgrad::plan
