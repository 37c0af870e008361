// Expressions cut into blocks, as Python sees them: passes as tuples of symbols and their values.
#include <pybind11/stl.h>

#include "bindings/bind.h"
#include "expr/blocks.h"
#include "plan/threads.h"

namespace matgrad::bindings {

namespace py = pybind11;

namespace {

using expr::Expr;

const char* name_of(expr::Join join) {
  constexpr const char* kNames[] = {"concatenate", "sum", "max", "min", "prod", "logsumexp"};
  return kNames[size_t(join)];
}

py::list assignments(const std::vector<expr::Assignment>& all) {
  py::list rows;
  for (const auto& [symbol, value, join, axis] : all) rows.append(py::make_tuple(symbol, value, name_of(join), axis));
  return rows;
}

/// (cuts, passes, results): see blocks.h.
py::tuple in_blocks(const std::vector<Expr>& results, const std::vector<std::optional<Expr>>& like,
                    const std::vector<std::pair<Expr, int>>& cut) {
  std::vector<Expr> alike;
  for (const auto& symbol : like) alike.push_back(symbol.value_or(Expr()));
  std::vector<expr::CutSymbol> symbols;
  for (const auto& [symbol, axis] : cut) symbols.push_back({symbol, axis});
  try {
    const expr::Blocks blocks = expr::in_blocks(results, alike, symbols);
    py::list cuts, passes;
    for (const auto& [block, whole, axis] : blocks.cuts) cuts.append(py::make_tuple(block, whole, axis));
    for (const auto& pass : blocks.passes) {
      passes.append(py::make_tuple(assignments(pass.once), assignments(pass.of_blocks)));
    }
    return py::make_tuple(cuts, passes, blocks.results);
  } catch (const expr::NotInBlocks& error) {
    py::set_error(PyExc_NotImplementedError, error.what());
    throw py::error_already_set();
  }
}

}  // namespace

void bind_blocks(py::module_& module) {
  module.def("in_blocks", &in_blocks, py::arg("results"), py::arg("like"), py::arg("cut"));
  module.def(
      "serially",
      [](const py::function& function, const py::args& args) {
        const threads::Serial serial;
        return py::object(function(*args));
      },
      py::arg("function"));
}

}  // namespace matgrad::bindings
