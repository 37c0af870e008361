// The callable that a transform returns: it finds the compiled function for the arguments at hand, or asks Python for
// it.
#include <algorithm>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/bind.h"
#include "bindings/results.h"

#include <structmember.h>  // needs Python.h before it

namespace matgrad::bindings {
namespace {

/// What an argument must be for an entry to fit.
struct Pattern {
  enum class Kind : uint8_t { Doubles, Floats, Number, Same };
  Kind kind = Kind::Same;
  py::object same{};               ///< of Same: the object itself
  std::vector<int64_t> lengths{};  ///< of arrays: −1 stands for any length but 1

  bool fits(PyObject* argument) const {
    switch (kind) {
      case Kind::Number:
        return PyFloat_CheckExact(argument);
      case Kind::Same:
        return argument == same.ptr();
      default:
        return is_exact_array(argument) && fits(ArrayView(argument));
    }
  }

 private:
  bool fits(const ArrayView& array) const {
    if (size_t(array.ndim()) != lengths.size()) return false;
    if (!(kind == Kind::Doubles ? array.holds<double>() : array.holds<float>())) return false;
    for (size_t axis = 0; axis < lengths.size(); ++axis) {
      const int64_t length = array.length(int(axis));
      if (lengths[axis] < 0 ? length == 1 : length != lengths[axis]) return false;
    }
    return true;
  }
};

/// Something that a traced function referred to, and what it was: the content of a cell, an item of a dict or list, or
/// an attribute.
struct Reference {
  py::object container, key, value;

  bool unchanged() const {
    if (PyCell_Check(container.ptr())) return PyCell_GET(container.ptr()) == value.ptr();
    if (PyDict_Check(container.ptr())) return PyDict_GetItem(container.ptr(), key.ptr()) == value.ptr();
    if (PyList_Check(container.ptr())) {
      const Py_ssize_t index = PyLong_AsSsize_t(key.ptr());
      return index < PyList_GET_SIZE(container.ptr()) && PyList_GET_ITEM(container.ptr(), index) == value.ptr();
    }
    const auto attribute = py::reinterpret_steal<py::object>(PyObject_GetAttr(container.ptr(), key.ptr()));
    if (!attribute) PyErr_Clear();
    return attribute.is(value);
  }
};

/// A compiled function, which arguments it is for, and how its results are arranged.
struct Entry {
  std::vector<Pattern> patterns{};
  py::object function{};
  std::vector<int> positions{};      ///< of the function's inputs among the arguments; −1: a constant
  std::vector<py::object> inputs{};  ///< those that are constants
  py::object form{};                 ///< None: as the function returns them; else an index, or a tuple of forms
};

/// The entries, newest first, and what they rely on. Immutable, so that threads may share it.
struct Table {
  std::vector<std::shared_ptr<const Entry>> entries{};
  std::vector<Reference> references{};
};

/// The most entries in a table.
constexpr size_t kMaxEntries = 8;
/// The most inputs of an entry's function.
constexpr size_t kMaxInputs = 64;

struct Dispatcher {
  PyObject_HEAD vectorcallfunc vectorcall;
  PyObject* attributes;
  PyObject* weak_references;
  PyObject* slow;
  std::mutex mutex;
  std::shared_ptr<const Table> table;

  std::shared_ptr<const Table> current() {
    const std::lock_guard lock(mutex);
    return table;
  }
  void replace(std::shared_ptr<const Table> by) {
    const std::lock_guard lock(mutex);
    table.swap(by);
  }
};

Dispatcher* dispatcher(PyObject* self) {
  return reinterpret_cast<Dispatcher*>(self);
}

/// The results of a function, arranged. It returns a tuple, or its only result.
py::object arranged(const py::object& results, PyObject* form) {
  if (PyLong_Check(form)) {
    if (!PyTuple_Check(results.ptr())) return results;
    return py::reinterpret_borrow<py::object>(PyTuple_GET_ITEM(results.ptr(), PyLong_AsSsize_t(form)));
  }
  const Py_ssize_t count = PyTuple_GET_SIZE(form);
  py::tuple parts(count);
  for (Py_ssize_t k = 0; k < count; ++k) parts[size_t(k)] = arranged(results, PyTuple_GET_ITEM(form, k));
  return parts;
}

PyObject* apply(const Entry& entry, PyObject* const* arguments) {
  PyObject* inputs[kMaxInputs];
  const size_t count = entry.positions.size();
  for (size_t k = 0; k < count; ++k) {
    inputs[k] = entry.positions[k] < 0 ? entry.inputs[k].ptr() : arguments[entry.positions[k]];
  }
  auto results = py::reinterpret_steal<py::object>(PyObject_Vectorcall(entry.function.ptr(), inputs, count, nullptr));
  if (!results) return nullptr;
  if (entry.form.is_none()) return results.release().ptr();
  return arranged(results, entry.form.ptr()).release().ptr();
}

PyObject* call(PyObject* self, PyObject* const* arguments, size_t flagged_count, PyObject* names) {
  const size_t count = size_t(PyVectorcall_NARGS(flagged_count));
  if (names == nullptr || PyTuple_GET_SIZE(names) == 0) {
    const auto table = dispatcher(self)->current();
    if (table) {
      for (const auto& entry : table->entries) {
        if (entry->patterns.size() != count) continue;
        size_t k = 0;
        while (k < count && entry->patterns[k].fits(arguments[k])) ++k;
        if (k < count) continue;
        if (!std::all_of(table->references.begin(), table->references.end(),
                         [](const Reference& r) { return r.unchanged(); })) {
          break;
        }
        PyObject* result = apply(*entry, arguments);
        if (result != nullptr || !PyErr_ExceptionMatches(PyExc_ValueError)) return result;
        PyErr_Clear();  // lengths don't fit: Python finds the words for it
        break;
      }
    }
  }
  return PyObject_Vectorcall(dispatcher(self)->slow, arguments, flagged_count, names);
}

// --- The type ---

PyObject* create(PyTypeObject* type, PyObject* arguments, PyObject*) {
  PyObject* slow = nullptr;
  if (!PyArg_ParseTuple(arguments, "O", &slow)) return nullptr;
  PyObject* self = type->tp_alloc(type, 0);
  if (self == nullptr) return nullptr;
  Dispatcher* d = dispatcher(self);
  d->vectorcall = call;
  d->slow = Py_NewRef(slow);
  new (&d->mutex) std::mutex;
  new (&d->table) std::shared_ptr<const Table>;
  return self;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(dispatcher(self)->attributes);
  Py_VISIT(dispatcher(self)->slow);
  const Table* table = dispatcher(self)->table.get();
  if (table == nullptr) return 0;
  for (const Reference& r : table->references) {
    Py_VISIT(r.container.ptr());
    Py_VISIT(r.value.ptr());
  }
  for (const auto& entry : table->entries) {
    Py_VISIT(entry->function.ptr());
    for (const Pattern& pattern : entry->patterns) Py_VISIT(pattern.same.ptr());
    for (const py::object& input : entry->inputs) Py_VISIT(input.ptr());
  }
  return 0;
}

int clear(PyObject* self) {
  Py_CLEAR(dispatcher(self)->attributes);
  Py_CLEAR(dispatcher(self)->slow);
  dispatcher(self)->replace({});
  return 0;
}

void destroy(PyObject* self) {
  PyObject_GC_UnTrack(self);
  if (dispatcher(self)->weak_references != nullptr) PyObject_ClearWeakRefs(self);
  clear(self);
  Dispatcher* d = dispatcher(self);
  d->table.~shared_ptr();
  d->mutex.~mutex();
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

/// As functions do, it becomes a method of the object that it is looked up on.
PyObject* bound(PyObject* self, PyObject* object, PyObject*) {
  return object == nullptr || object == Py_None ? Py_NewRef(self) : PyMethod_New(self, object);
}

Pattern pattern_of(py::handle described) {
  if (described.is(py::handle(reinterpret_cast<PyObject*>(&PyFloat_Type)))) return {.kind = Pattern::Kind::Number};
  auto pair = py::cast<py::tuple>(described);
  const auto kind = py::cast<std::string>(pair[0]);
  if (kind == "is") return {.kind = Pattern::Kind::Same, .same = pair[1]};
  Pattern pattern{.kind = kind == "f" ? Pattern::Kind::Floats : Pattern::Kind::Doubles};
  for (py::handle length : py::cast<py::tuple>(pair[1])) {
    pattern.lengths.push_back(length.is_none() ? -1 : py::cast<int64_t>(length));
  }
  return pattern;
}

/// _add(patterns, function, inputs, form): the newest entry, unless it has too many inputs. An input is the position of
/// an argument, or (constant,).
py::object add(PyObject* self, PyObject* arguments) {
  auto [patterns, function, inputs, form] =
      py::cast<std::tuple<py::list, py::object, py::list, py::object>>(py::handle(arguments));
  if (inputs.size() > kMaxInputs) return py::none();
  auto entry = std::make_shared<Entry>();
  for (py::handle pattern : patterns) entry->patterns.push_back(pattern_of(pattern));
  for (py::handle input : inputs) {
    const bool is_position = PyLong_Check(input.ptr());
    entry->positions.push_back(is_position ? py::cast<int>(input) : -1);
    entry->inputs.push_back(is_position ? py::object() : py::object(py::cast<py::tuple>(input)[0]));
  }
  entry->function = function;
  entry->form = form;
  const auto old = dispatcher(self)->current();
  auto table = std::make_shared<Table>(old ? *old : Table{});
  if (table->entries.size() == kMaxEntries) table->entries.pop_back();
  table->entries.insert(table->entries.begin(), std::move(entry));
  dispatcher(self)->replace(std::move(table));
  return py::none();
}

/// _rely_on(references): forgets all entries, and relies on references (container, key, value) from now on.
py::object rely_on(PyObject* self, PyObject* references) {
  auto table = std::make_shared<Table>();
  for (py::handle described : py::reinterpret_borrow<py::list>(references)) {
    auto [container, key, value] = py::cast<std::tuple<py::object, py::object, py::object>>(described);
    table->references.push_back({container, key, value});
  }
  dispatcher(self)->replace(std::move(table));
  return py::none();
}

/// _is_current(): whether all references still hold.
PyObject* is_current(PyObject* self, PyObject*) {
  const auto table = dispatcher(self)->current();
  return PyBool_FromLong(!table || std::all_of(table->references.begin(), table->references.end(),
                                               [](const Reference& r) { return r.unchanged(); }));
}

/// A method, whose exceptions become Python's.
template <py::object (*method)(PyObject* self, PyObject* arguments)>
PyObject* call_method(PyObject* self, PyObject* arguments) {
  return with_python_errors("Dispatcher", [&] { return method(self, arguments); });
}

PyMethodDef methods[] = {{"_add", call_method<add>, METH_VARARGS, nullptr},
                         {"_rely_on", call_method<rely_on>, METH_O, nullptr},
                         {"_is_current", is_current, METH_NOARGS, nullptr},
                         {nullptr, nullptr, 0, nullptr}};

PyMemberDef members[] = {{"__vectorcalloffset__", T_PYSSIZET, offsetof(Dispatcher, vectorcall), READONLY, nullptr},
                         {"__dictoffset__", T_PYSSIZET, offsetof(Dispatcher, attributes), READONLY, nullptr},
                         {"__weaklistoffset__", T_PYSSIZET, offsetof(Dispatcher, weak_references), READONLY, nullptr},
                         {nullptr, 0, 0, 0, nullptr}};

PyGetSetDef attributes[] = {{"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
                            {nullptr, nullptr, nullptr, nullptr, nullptr}};

template <class Function>
void* slot(Function* function) {
  return reinterpret_cast<void*>(function);
}

}  // namespace

void bind_dispatcher(py::module_& module) {
  PyType_Slot slots[] = {{Py_tp_new, slot(create)},
                         {Py_tp_dealloc, slot(destroy)},
                         {Py_tp_traverse, slot(traverse)},
                         {Py_tp_clear, slot(clear)},
                         {Py_tp_call, slot(PyVectorcall_Call)},
                         {Py_tp_descr_get, slot(bound)},
                         {Py_tp_methods, methods},
                         {Py_tp_members, members},
                         {Py_tp_getset, attributes},
                         {0, nullptr}};
  PyType_Spec spec{"matgrad._core.Dispatcher", sizeof(Dispatcher), 0,
                   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL, slots};
  module.attr("Dispatcher") = py::reinterpret_steal<py::object>(PyType_FromSpec(&spec));
}

}  // namespace matgrad::bindings
