// Pickling of nodes: a recipe has one row a node, operands first, and the builders follow it.
#include <pybind11/stl.h>

#include <unordered_map>

#include "bindings/arrays.h"
#include "bindings/bind.h"
#include "bindings/constant.h"
#include "expr/numpy_api.h"
#include "expr/with_lengths.h"

namespace matgrad::bindings {
namespace {

using namespace expr;

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;  // Clang 16 doesn't deduce it

py::bytes to_bytes(const Labels& labels) {
  return py::bytes(labels);
}

py::tuple to_tuple(const SliceBounds& bounds) {
  return py::make_tuple(bounds.start, bounds.stop, bounds.step);
}

SliceBounds to_bounds(const py::tuple& row) {
  return {row[0].cast<std::optional<int64_t>>(), row[1].cast<std::optional<int64_t>>(), row[2].cast<int64_t>()};
}

/// The rows of nodes of which each comes after those that it is made of.
class Recipe {
 public:
  void add(const Expr& e) {
    std::vector<int> lengths = numbers_of(e->lengths);
    py::tuple row = std::visit(
        Overloaded{
            [&](const Symbol& x) -> py::tuple { return py::make_tuple("symbol", x.name, lengths, x.symmetric); },
            [&](const Size& x) -> py::tuple { return py::make_tuple("size", x.name, x.axis); },
            [&](const SliceLength& x) -> py::tuple {
              return py::make_tuple("slice length", number_of(x.length), to_tuple(x.bounds));
            },
            [&](const Array& x) -> py::tuple { return py::make_tuple("array", to_array(x)); },
            [&](const Identity& x) -> py::tuple {
              return py::make_tuple("identity", int(x.form), to_tuple(x.bounds), lengths);
            },
            [&](const Gather& x) -> py::tuple { return py::make_tuple("gather", number_of(x.index), lengths.back()); },
            [&](const Triangle& x) -> py::tuple { return py::make_tuple("triangle", lengths, x.offset); },
            [&](const Einsum& x) -> py::tuple {
              py::list factors;
              for (const Factor& f : x.factors) {
                factors.append(py::make_tuple(number_of(f.node), to_bytes(f.labels), f.exponent, f.guard));
              }
              return py::make_tuple("einsum", x.coefficient, factors, lengths);
            },
            [&](const Sum& x) -> py::tuple {
              py::list terms;
              for (const Term& term : x.terms) terms.append(py::make_tuple(term.coefficient, number_of(term.node)));
              return py::make_tuple("sum", terms, lengths);
            },
            [&](const Map& x) -> py::tuple { return py::make_tuple("map", x.op->name, numbers_of(x.operands)); },
            [&](const Reduce& x) -> py::tuple {
              return py::make_tuple("reduce", int(x.reduction), number_of(x.operand), to_bytes(x.axes));
            },
            [&](const Linalg& x) -> py::tuple {
              return py::make_tuple("linalg", int(x.op), number_of(x.operand), x.cutoff);
            },
        },
        e->data);
    numbers_.emplace(e.get(), int(rows_.size()));
    rows_.append(std::move(row));
  }

  py::list rows() const { return rows_; }

 private:
  int number_of(const Expr& e) const { return numbers_.at(e.get()); }

  std::vector<int> numbers_of(const std::vector<Expr>& expressions) const {
    std::vector<int> numbers;
    for (const Expr& e : expressions) numbers.push_back(number_of(e));
    return numbers;
  }

  py::list rows_;
  std::unordered_map<const Node*, int> numbers_;
};

/// Follows the rows; `made` are the expressions of those before.
Expr read(const py::tuple& row, const std::vector<Expr>& made) {
  auto at = [&](py::handle number) { return made.at(number.cast<size_t>()); };
  auto all = [&](py::handle numbers) {
    std::vector<Expr> expressions;
    for (py::handle number : numbers) expressions.push_back(at(number));
    return expressions;
  };
  std::string kind = row[0].cast<std::string>();
  if (kind == "symbol") return symbol(row[1].cast<std::string>(), all(row[2]), row[3].cast<bool>());
  if (kind == "size") return size(row[1].cast<std::string>(), row[2].cast<int>());
  if (kind == "slice length") return slice(at(row[1]), to_bounds(row[2]))->lengths[0];
  if (kind == "array") return constant(py::array(row[1]));
  if (kind == "identity") {
    SliceBounds bounds = to_bounds(row[2]);
    Lengths lengths = all(row[3]);
    switch (Identity::Form(row[1].cast<int>())) {
      case Identity::Form::Delta:
        return delta(lengths[0]);
      case Identity::Form::Slice:
        return slice(lengths[1], bounds);
      case Identity::Form::Element:
        return element(lengths[0], bounds.start.value());
      case Identity::Form::Reshape:
        return reshape_tensor(Lengths(lengths.begin() + 1, lengths.end()));
    }
  }
  if (kind == "gather") return gather(at(row[1]), at(row[2]));
  if (kind == "triangle") {
    const Lengths lengths = all(row[1]);
    return triangle(lengths[0], lengths[1], row[2].cast<int64_t>());
  }
  if (kind == "einsum") {
    std::vector<Factor> factors;
    for (py::handle item : row[2]) {
      auto part = py::reinterpret_borrow<py::tuple>(item);
      factors.push_back({at(part[0]), part[1].cast<Labels>(), part[2].cast<double>(), part[3].cast<bool>()});
    }
    return einsum(row[1].cast<double>(), std::move(factors), all(row[3]));
  }
  if (kind == "sum") {
    std::vector<Term> terms;
    for (py::handle item : row[1]) {
      auto part = py::reinterpret_borrow<py::tuple>(item);
      terms.push_back({part[0].cast<double>(), at(part[1])});
    }
    return sum(std::move(terms), all(row[2]));
  }
  if (kind == "map") return map(op(row[1].cast<std::string>()), all(row[2]));
  if (kind == "reduce") return reduce(Reduction(row[1].cast<int>()), at(row[2]), row[3].cast<Labels>());
  if (kind == "linalg") return linalg(LinalgOp(row[1].cast<int>()), at(row[2]), row[3].cast<double>());
  throw py::value_error("from_recipe: no kind of expression is called '" + kind + "'");
}

}  // namespace

void bind_pickle(py::module_& module) {
  module.def(
      "to_recipe",
      [](const Expr& e) {
        Recipe recipe;
        for (const Expr& node : with_lengths(e)) recipe.add(node);
        return recipe.rows();
      },
      py::arg("e"));
  module.def(
      "from_recipe",
      [](const py::list& rows) {
        std::vector<Expr> made;
        for (py::handle row : rows) made.push_back(read(py::reinterpret_borrow<py::tuple>(row), made));
        return made.at(made.size() - 1);
      },
      py::arg("rows"));
  py::object node = module.attr("Node");
  node.attr("__reduce__") = py::cpp_function(
      [](const py::object& self) {
        py::module_ core = py::module_::import("matgrad._core");
        return py::make_tuple(core.attr("from_recipe"), py::make_tuple(core.attr("to_recipe")(self)));
      },
      py::name("__reduce__"), py::is_method(node));
}

}  // namespace matgrad::bindings
