// Expressions as Python sees them: the class Node, and NumPy's functions, derivatives and printed forms of nodes.
#include <pybind11/stl.h>

#include <algorithm>
#include <string>

#include "bindings/arrays.h"
#include "bindings/bind.h"
#include "bindings/constant.h"
#include "bindings/special.h"
#include "expr/diff.h"
#include "expr/numpy_api.h"
#include "expr/print.h"
#include "expr/special.h"
#include "expr/with_lengths.h"

namespace matgrad::bindings {
namespace {

using expr::Expr;
using expr::Labels;
using expr::Lengths;
namespace numpy_api = expr::numpy_api;

/// A length as an int where it is known, else as a node.
py::object length_object(const Expr& length) {
  if (auto n = numpy_api::known_length(length)) return py::int_(*n);
  return py::cast(length);
}

py::tuple shape(const Expr& e) {
  py::tuple lengths(e->lengths.size());
  for (size_t axis = 0; axis < e->lengths.size(); ++axis) lengths[axis] = length_object(e->lengths[axis]);
  return lengths;
}

/// A length given as an int, a node, or None where it isn't known.
Expr length_of(py::handle object) {
  if (object.is_none()) return {};
  if (PyLong_Check(object.ptr())) return expr::number(double(object.cast<int64_t>()));
  return object.cast<Expr>();
}

Lengths lengths_of(const py::sequence& objects) {
  Lengths lengths;
  for (py::handle object : objects) lengths.push_back(length_of(object));
  return lengths;
}

/// A string is a length that has a name of its own.
Expr symbol(const std::string& name, const py::sequence& shape, bool symmetric) {
  Lengths lengths;
  for (py::handle length : shape) {
    lengths.push_back(PyUnicode_Check(length.ptr()) ? expr::size(length.cast<std::string>()) : length_of(length));
  }
  return expr::symbol(name, std::move(lengths), symmetric);
}

/// Python's own slice of integers.
expr::SliceBounds slice_bounds(py::handle slice) {
  auto bound = [&](const char* name) {
    py::object value = slice.attr(name);
    return value.is_none() ? std::nullopt : std::optional(value.cast<int64_t>());
  };
  return {bound("start"), bound("stop"), bound("step").value_or(1)};
}

std::vector<numpy_api::Index> indices(const py::sequence& objects) {
  std::vector<numpy_api::Index> result;
  for (py::handle object : objects) {
    if (object.is_none()) {
      result.emplace_back(numpy_api::NewAxis{});
    } else if (PySlice_Check(object.ptr())) {
      result.emplace_back(slice_bounds(object));
    } else {
      result.emplace_back(object.cast<int64_t>());
    }
  }
  return result;
}

void bind_node(py::module_& module) {
  py::class_<Expr>(module, "Node")
      .def_property_readonly("ndim", [](const Expr& e) { return e->ndim(); })
      .def_property_readonly("shape", &shape)
      .def_property_readonly("number", [](const Expr& e) { return expr::as_number(e); })
      .def_property_readonly("name",
                             [](const Expr& e) -> std::optional<std::string> {
                               auto* symbol = e->as<expr::Symbol>();
                               return symbol ? std::optional(symbol->name) : std::nullopt;
                             })
      .def_property_readonly("dimension",
                             [](const Expr& e) -> std::optional<std::string> {
                               auto* size = e->as<expr::Size>();
                               return size && size->axis < 0 ? std::optional(size->name) : std::nullopt;
                             })
      .def_property_readonly("is_condition", &numpy_api::is_condition)
      .def_property_readonly("is_symmetric", [](const Expr& e) { return e->symmetric; })
      .def(
          "__eq__", [](const Expr& a, const Expr& b) { return a == b; }, py::is_operator())
      .def("__hash__", [](const Expr& e) { return std::hash<const void*>{}(e.get()); });
}

void bind_leaves(py::module_& module) {
  module.def("symbol", &symbol, py::arg("name"), py::arg("shape"), py::arg("symmetric"));
  module.def("number", &expr::number, py::arg("value"));
  module.def("array", &constant, py::arg("values"));
  module.def("guard", &expr::guard, py::arg("condition"));
  module.def("delta", [](py::handle length) { return expr::delta(length_of(length)); }, py::arg("length"));
  module.def(
      "gather", [](const Expr& index, py::handle length) { return expr::gather(index, length_of(length)); },
      py::arg("index"), py::arg("length"));
  module.def(
      "triangle",
      [](py::handle rows, py::handle columns, int64_t offset) {
        return expr::triangle(length_of(rows), length_of(columns), offset);
      },
      py::arg("rows"), py::arg("columns"), py::arg("offset"));
  module.def(
      "slice_matrix",
      [](py::handle length, py::handle bounds) { return expr::slice(length_of(length), slice_bounds(bounds)); },
      py::arg("length"), py::arg("bounds"));
}

void bind_numpy(py::module_& module) {
  module.def("add", &numpy_api::add, py::arg("a"), py::arg("b"));
  module.def("subtract", &numpy_api::subtract, py::arg("a"), py::arg("b"));
  module.def("multiply", &numpy_api::multiply, py::arg("a"), py::arg("b"));
  module.def("divide", &numpy_api::divide, py::arg("a"), py::arg("b"));
  module.def("power", &numpy_api::power, py::arg("a"), py::arg("b"));
  module.def("matmul", &numpy_api::matmul, py::arg("a"), py::arg("b"));
  module.def("kron", &numpy_api::kron, py::arg("a"), py::arg("b"));
  module.def(
      "elementwise",
      [](const std::string& name, const std::vector<Expr>& operands) {
        const bool has_values =
            std::ranges::all_of(operands, [](const Expr& e) { return expr::as_full(e).has_value(); });
        if (has_values && !expr::has_value(expr::op(name))) load_special_functions();
        return numpy_api::elementwise(name, operands);
      },
      py::arg("name"), py::arg("operands"));
  module.def("elementwise_names", [] {
    py::dict arities;
    for (const expr::Op& op : expr::ops()) arities[op.name] = op.arity;
    return arities;
  });
  module.def(
      "einsum",
      [](const std::string& function, const std::vector<Expr>& operands, const std::vector<Labels>& labels, int ndim,
         bool broadcast) {
        return numpy_api::einsum(function.c_str(), operands, labels, ndim, broadcast ? expr::kMaxLabels : ndim);
      },
      py::arg("function"), py::arg("operands"), py::arg("labels"), py::arg("ndim"), py::arg("broadcast"));
  module.def("sum", &numpy_api::sum, py::arg("x"), py::arg("axes"), py::arg("keepdims"));
  module.def("mean", &numpy_api::mean, py::arg("x"), py::arg("axes"), py::arg("keepdims"));
  module.def("reduce", &numpy_api::reduce, py::arg("name"), py::arg("x"), py::arg("axes"), py::arg("keepdims"));
  module.def("linalg", &numpy_api::linalg, py::arg("name"), py::arg("x"), py::arg("cutoff") = 0.0);
  module.def("transpose", &expr::transpose, py::arg("x"), py::arg("axes"));
  module.def(
      "broadcast_to",
      [](const Expr& x, const py::sequence& shape) { return numpy_api::broadcast_to(x, lengths_of(shape)); },
      py::arg("x"), py::arg("shape"));
  module.def(
      "reshape", [](const Expr& x, const py::sequence& shape) { return numpy_api::reshape(x, lengths_of(shape)); },
      py::arg("x"), py::arg("shape"));
  module.def(
      "index", [](const Expr& x, const py::sequence& objects) { return numpy_api::index(x, indices(objects)); },
      py::arg("x"), py::arg("indices"));
}

expr::Mode mode_of(const std::string& name) {
  constexpr const char* kModes[] = {"auto", "forward", "reverse", "cross_country"};
  for (int k = 0; k < 4; ++k) {
    if (name == kModes[k]) return expr::Mode(k);
  }
  throw py::value_error("diff: mode is '" + name +
                        "' but must be \"auto\", \"forward\", \"reverse\" or \"cross_country\"");
}

void bind_calculus(py::module_& module) {
  module.def(
      "diff",
      [](const Expr& y, const std::vector<Expr>& x, const std::string& mode) { return diff(y, x, mode_of(mode)); },
      py::arg("y"), py::arg("x"), py::arg("mode"));
  module.def(
      "derivative",
      [](const Expr& y, const std::vector<Expr>& variables, const std::string& mode) {
        return derivative(y, variables, mode_of(mode));
      },
      py::arg("y"), py::arg("variables"), py::arg("mode"));
  module.def("symbol_names", &expr::symbol_names, py::arg("e"));
  module.def("to_matrix", &expr::to_matrix, py::arg("e"));
  module.def("to_latex", &expr::to_latex, py::arg("e"));
  module.def("to_index", &expr::to_index, py::arg("e"));
  module.def("to_numpy", &expr::to_numpy, py::arg("e"), py::arg("symbols"));
  module.def("substitute", &expr::substitute, py::arg("e"), py::arg("replacements"));
  module.def("topological_order", &expr::topological_order, py::arg("roots"));
  module.def("live_nodes", &expr::live_nodes);
}

}  // namespace

void bind_expr(py::module_& module) {
  py::register_local_exception_translator([](std::exception_ptr thrown) {
    try {
      if (thrown) std::rethrow_exception(thrown);
    } catch (const expr::ShapeError& error) {
      py::set_error(PyExc_ValueError, error.what());
    } catch (const expr::NotDifferentiable& error) {
      py::set_error(PyExc_NotImplementedError, error.what());
    }
  });
  bind_node(module);
  bind_leaves(module);
  bind_numpy(module);
  bind_calculus(module);
}

}  // namespace matgrad::bindings
