// Special functions as SciPy has them.
#include "bindings/special.h"

#include <pybind11/pybind11.h>

#include <string>

#include "expr/special.h"

namespace matgrad::bindings {

namespace py = pybind11;

namespace {

/// The function of that many doubles, of which Cython has one for each combination of types.
expr::Supplied find(const py::dict& functions, const expr::Op& op) {
  std::string wanted = "double (";
  for (int k = 0; k < op.arity; ++k) wanted += "double, ";
  wanted += "int __pyx_skip_dispatch)";
  std::string name = op.name, fused = "__pyx_fuse_";
  for (int k = -1; k < 10; ++k) {
    const std::string key = k < 0 ? name : fused + std::to_string(k) + name;
    if (!functions.contains(key)) continue;
    const py::capsule capsule = functions[key.c_str()];
    if (capsule.name() != wanted) continue;
    void* address = PyCapsule_GetPointer(capsule.ptr(), capsule.name());
    return {reinterpret_cast<void (*)()>(address)};
  }
  throw py::import_error("scipy.special.cython_special has no " + name + " of the signature " + wanted);
}

}  // namespace

void load_special_functions() {
  static const bool loaded = [] {
    const py::dict functions = py::module_::import("scipy.special.cython_special").attr("__pyx_capi__");
    for (const expr::Op& op : expr::ops()) {
      if (op.value == nullptr) expr::supply(op, find(functions, op));
    }
    return true;
  }();
  static_cast<void>(loaded);
}

}  // namespace matgrad::bindings
