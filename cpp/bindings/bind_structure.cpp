// The structure of derivatives as Python sees it, tuples of nodes and labels; and products with matrices C ⊗ I.
#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/bind.h"
#include "bindings/results.h"
#include "bindings/without_gil.h"
#include "expr/build.h"
#include "matgrad/closed_form.h"
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

/// (C ⊗ I) v for a v of the given shape.
template <class T>
py::object product(const ArrayView& C, const ArrayView& v, int64_t columns) {
  const int64_t rows = C.length(0);
  py::object result = new_array<T>("Structured.@", v.shape());
  Problems<T> problem{.sizes = {rows, rows, columns}};
  problem.in[0] = {reinterpret_cast<const T*>(C.data()), rows};
  problem.in[1] = {reinterpret_cast<const T*>(v.data()), columns};
  problem.out[0] = {reinterpret_cast<T*>(ArrayView(result.ptr()).data()), columns};
  const auto compute = [&] { closed_form::core_product(problem); };
  rows * rows * columns < 8 * kKeepGil ? compute() : without_gil(compute);
  return result;
}

/// (C ⊗ I) v for contiguous arrays, v being of shape (rows of C, columns) or ravelled; None if they aren't that.
PyObject* kronecker_product(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
  return with_python_errors("kronecker_product", [&]() -> py::object {
    if (count != 3) throw py::type_error("kronecker_product: takes C, v and the number of columns");
    const int64_t columns = py::handle(arguments[2]).cast<int64_t>();
    if (!is_exact_array(arguments[0]) || !is_exact_array(arguments[1])) return py::none();
    const ArrayView C(arguments[0]), v(arguments[1]);
    auto readable = [](const ArrayView& array) { return array.c_contiguous() && array.aligned(); };
    if (!readable(C) || !readable(v) || C.ndim() != 2 || C.length(0) != C.length(1)) return py::none();
    const bool is_own = v.ndim() == 2 && v.length(0) == C.length(0) && v.length(1) == columns;
    if (!is_own && !(v.ndim() == 1 && v.length(0) == C.length(0) * columns)) return py::none();
    if (C.holds<double>() && v.holds<double>()) return product<double>(C, v, columns);
    if (C.holds<float>() && v.holds<float>()) return product<float>(C, v, columns);
    return py::none();
  });
}

PyMethodDef kronecker_product_definition = {
    "kronecker_product", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(kronecker_product)), METH_FASTCALL,
    "kronecker_product(C, v, columns, /)\n--\n\n(C ⊗ I) v for contiguous arrays, else None."};

}  // namespace

void bind_structure(py::module_& module) {
  module.def("structure", &structure, py::arg("derivative"), py::arg("symbols"), py::arg("shapes"), py::arg("checked"));
  module.add_object("kronecker_product",
                    py::reinterpret_steal<py::object>(PyCFunction_New(&kronecker_product_definition, nullptr)));
}

}  // namespace matgrad::bindings
