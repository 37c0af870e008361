// The kernels of elementwise functions, found by name.
#include "plan/map_function.h"

#include <stdexcept>
#include <string>
#include <string_view>

#include "expr/special.h"
#include "kernels/dispatch.h"
#include "plan/step.h"

namespace matgrad::plan {

int find_kernel(const expr::Op& op) {
  const auto& map = kernels::table<double>().map;
  auto find = [&](const auto* rows, int64_t count) {
    for (int64_t k = 0; k < count; ++k) {
      if (std::string_view(rows[k].name) == op.name) return int(k);
    }
    if (expr::has_value(op)) return kNoKernel;
    throw std::invalid_argument("the values of " + std::string(op.name) + " have to be supplied (expr/special.h)");
  };
  if (op.arity == 1) return find(map.functions, map.count);
  if (op.arity == 2) return find(map.binary, map.binary_count);
  struct {
    const char* name;
  } const where[] = {{"where"}};
  return find(where, 1);
}

}  // namespace matgrad::plan
