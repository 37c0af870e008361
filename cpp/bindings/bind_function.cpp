// Compiled expressions as Python callables: matgrad._core.Function(results, symbols, names, single, checked=()).
#include <pybind11/stl.h>
#include <structmember.h>

#include <memory>
#include <optional>

#include "bindings/bind.h"
#include "bindings/function.h"
#include "bindings/lapack.h"
#include "bindings/results.h"
#include "bindings/special.h"
#include "plan/call.h"
#include "plan/describe.h"

namespace matgrad::bindings {
namespace {

constexpr const char* kFunction = "Function";

struct FunctionObject {
  PyObject_HEAD vectorcallfunc call;
  Compiled* compiled;
};

/// The argument `out`, the only one that has a keyword.
PyObject* parse_out(PyObject* const* keyword_arguments, PyObject* keywords) {
  PyObject* out = Py_None;
  for (Py_ssize_t k = 0; keywords != nullptr && k < PyTuple_GET_SIZE(keywords); ++k) {
    const std::string keyword = py::cast<std::string>(PyTuple_GET_ITEM(keywords, k));
    if (keyword != "out") {
      throw py::type_error(std::string(kFunction) + ": unexpected keyword argument '" + keyword +
                           "'; arrays are given by position");
    }
    out = keyword_arguments[k];
  }
  return out;
}

void check_count(const Compiled& compiled, size_t count) {
  if (count == compiled.names.size()) return;
  std::string text = std::string(kFunction) + ": ";
  if (count < compiled.names.size()) throw py::type_error(text + "argument " + compiled.names[count] + " is missing");
  std::string names;
  for (const std::string& name : compiled.names) names += (names.empty() ? "" : ", ") + name;
  throw py::type_error(text + "takes " + std::to_string(compiled.names.size()) + " arrays (" + names + ") but got " +
                       std::to_string(count));
}

/// Calls compute(compiled, arguments, out) for the arguments of a Python call.
template <class Compute>
PyObject* with_arguments(const char* name, PyObject* self, PyObject* const* args, size_t count, PyObject* keywords,
                         const Compute& compute) {
  Compiled& compiled = *reinterpret_cast<FunctionObject*>(self)->compiled;
  return with_python_errors(name, [&] {
    PyObject* out = parse_out(args + count, keywords);
    check_count(compiled, count);
    try {
      return compute(compiled, args, out);
    } catch (const plan::LinalgError& error) {
      const py::object type = py::module_::import("numpy").attr("linalg").attr("LinAlgError");
      PyErr_SetString(type.ptr(), error.what());
      throw py::error_already_set();
    }
  });
}

PyObject* call(PyObject* self, PyObject* const* args, size_t nargs_and_flag, PyObject* keywords) {
  return with_arguments(kFunction, self, args, size_t(PyVectorcall_NARGS(nargs_and_flag)), keywords, call_function);
}

/// _map(*arrays, out=None): the results for stacks of arguments. What isn't one plain stack _map.py makes one of.
PyObject* map(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  auto compute = [&](Compiled& compiled, PyObject* const* arguments, PyObject* out) -> py::object {
    if (are_one_stack(compiled, arguments)) return map_function(compiled, arguments, out);
    py::tuple arrays(compiled.names.size());
    for (size_t k = 0; k < arrays.size(); ++k) arrays[k] = py::reinterpret_borrow<py::object>(arguments[k]);
    return py::module_::import("matgrad._map").attr("mapped")(py::handle(self), arrays, py::handle(out));
  };
  return with_arguments("map", self, args, size_t(count), keywords, compute);
}

PyObject* construct(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  PyObject *results, *symbols, *names, *checked = nullptr;
  int single;
  static const char* known[] = {"results", "symbols", "names", "single", "checked", nullptr};
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "OOOp|O", const_cast<char**>(known), &results, &symbols, &names,
                                   &single, &checked)) {
    return nullptr;
  }
  return with_python_errors(kFunction, [&] {
    auto expressions = [](PyObject* list) { return py::cast<std::vector<expr::Expr>>(list); };
    const py::object also = checked == nullptr ? py::list() : py::reinterpret_borrow<py::object>(checked);
    std::unique_ptr<Compiled> compiled(new Compiled{
        kFunction,
        {expressions(results), expressions(symbols), expressions(also.ptr())},
        py::cast<std::vector<std::string>>(names),
        single != 0,
        py::make_tuple(py::handle(results), py::handle(symbols), py::handle(names), py::bool_(single != 0), also)});
    if (compiled->names.size() != compiled->program.symbols().size()) {
      throw py::value_error(std::string(kFunction) + ": there must be as many names as symbols");
    }
    if (compiled->single && compiled->program.results().size() != 1) {
      throw py::value_error(std::string(kFunction) + ": a single result is wanted but there are several");
    }
    if (compiled->program.needs_lapack()) load_lapack();
    if (compiled->program.needs_special_functions()) load_special_functions();
    py::object self = py::reinterpret_steal<py::object>(type->tp_alloc(type, 0));
    if (!self) throw py::error_already_set();
    auto* function = reinterpret_cast<FunctionObject*>(self.ptr());
    function->call = call;
    function->compiled = compiled.release();
    return self;
  });
}

void destroy(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  delete reinterpret_cast<FunctionObject*>(self)->compiled;
  type->tp_free(self);
  Py_DECREF(type);
}

/// Pickling: the type and the arguments of its constructor.
PyObject* reduce(PyObject* self, PyObject*) {
  const Compiled& compiled = *reinterpret_cast<FunctionObject*>(self)->compiled;
  return Py_BuildValue("(OO)", reinterpret_cast<PyObject*>(Py_TYPE(self)), compiled.definition.ptr());
}

/// _plan([(shape, strides), …]) for arguments with these strides in elements, or None for C order: a row (kernel,
/// sizes, operands, where, flops, elements) for every kernel call, and the elements of memory that a call takes beside
/// its results.
PyObject* plan(PyObject* self, PyObject* shapes) {
  const Compiled& compiled = *reinterpret_cast<FunctionObject*>(self)->compiled;
  return with_python_errors("plan", [&] {
    std::vector<plan::Argument> arguments;
    for (py::handle pair : py::reinterpret_borrow<py::object>(shapes)) {
      auto [shape, given] = py::cast<std::pair<plan::Shape, std::optional<plan::Shape>>>(pair);
      plan::Argument& argument = arguments.emplace_back();
      argument.strides = given.value_or(plan::contiguous_strides(shape));
      argument.is_contiguous = argument.strides == plan::contiguous_strides(shape);
      argument.shape = std::move(shape);
    }
    const auto plan = plan::plan_for(compiled.called, compiled.program, arguments);
    py::list rows;
    for (const plan::Row& row : plan::describe(*plan, compiled.names)) {
      rows.append(py::make_tuple(row.kernel, row.sizes, row.operands, row.where, row.cost.flops, row.cost.elements));
    }
    return py::make_tuple(rows, plan::memory(*plan));
  });
}

PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(FunctionObject, call), READONLY, nullptr},
    {},
};

/// The arguments of the constructor.
PyObject* definition(PyObject* self, void*) {
  return py::object(reinterpret_cast<FunctionObject*>(self)->compiled->definition).release().ptr();
}

PyGetSetDef attributes[] = {
    {"_definition", definition, nullptr, nullptr, nullptr},
    {},
};

PyMethodDef methods[] = {
    {"__reduce__", reduce, METH_NOARGS, nullptr},
    {"_map", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(map)), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"_plan", plan, METH_O, nullptr},
    {},
};

constexpr const char* kDocumentation =
    "Function(results, symbols, names, single, checked=())\n--\n\n"
    "The values of expressions as a function of arrays, one for each symbol; see matgrad.Expr.compile.";

PyType_Slot slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(construct)},
    {Py_tp_dealloc, reinterpret_cast<void*>(destroy)},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_members, members},
    {Py_tp_getset, attributes},
    {Py_tp_methods, methods},
    {Py_tp_doc, const_cast<char*>(kDocumentation)},
    {},
};

PyType_Spec spec = {"matgrad._core.Function", sizeof(FunctionObject), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_VECTORCALL, slots};

}  // namespace

void bind_function(py::module_& module) {
  module.add_object(kFunction, py::reinterpret_steal<py::object>(PyType_FromSpec(&spec)));
}

}  // namespace matgrad::bindings
