// The structure of derivatives as Python sees it: tuples of nodes and labels.
#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/bind.h"
#include "expr/build.h"
#include "plan/structure.h"

namespace matgrad::bindings {

namespace {

using expr::Expr;

py::bytes as_bytes(const expr::Labels& labels) {
  return py::bytes(labels);
}

/// (label, offset, ((label, coefficient), …)).
py::tuple as_tuple(const plan::Equation& equation) {
  py::tuple others(equation.others.size());
  for (size_t k = 0; k < equation.others.size(); ++k) {
    others[k] = py::make_tuple(int(uint8_t(equation.others[k].first)), equation.others[k].second);
  }
  return py::make_tuple(int(uint8_t(equation.label)), equation.offset, others);
}

/// (value, source, coefficient, ((core, labels), …), equations, lengths).
py::tuple as_tuple(const plan::StructureTerm& term) {
  py::tuple cores(term.cores.size()), equations(term.equations.size());
  for (size_t k = 0; k < term.cores.size(); ++k) {
    cores[k] = py::make_tuple(term.cores[k].first, as_bytes(term.cores[k].second));
  }
  for (size_t k = 0; k < term.equations.size(); ++k) equations[k] = as_tuple(term.equations[k]);
  return py::make_tuple(term.value, term.source, term.coefficient, cores, equations, py::tuple(py::cast(term.lengths)));
}

/// (cores, symbols, terms, shape).
py::tuple structure(const Expr& derivative, const std::vector<Expr>& symbols, const std::vector<plan::Shape>& shapes,
                    const std::vector<Expr>& checked) {
  const plan::LengthTable lengths(symbols, shapes);
  std::vector<Expr> roots{derivative};
  roots.insert(roots.end(), checked.begin(), checked.end());
  for (const Expr& node : expr::topological_order(roots)) lengths.check(node);
  const plan::Structure found = plan::structure_of(derivative, lengths);
  py::tuple terms(found.terms.size());
  for (size_t k = 0; k < found.terms.size(); ++k) terms[k] = as_tuple(found.terms[k]);
  return py::make_tuple(found.cores, found.symbols, terms, py::tuple(py::cast(lengths.shape(derivative))));
}

}  // namespace

void bind_structure(py::module_& module) {
  module.def("structure", &structure, py::arg("derivative"), py::arg("symbols"), py::arg("shapes"), py::arg("checked"));
}

}  // namespace matgrad::bindings
