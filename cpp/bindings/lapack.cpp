// LAPACK as SciPy has it.
#include "bindings/lapack.h"

#include <pybind11/pybind11.h>

#include <string>
#include <string_view>

#include "plan/lapack.h"

namespace matgrad::bindings {

namespace py = pybind11;

namespace {

/// The function of that name, whose arguments must begin as given: the rest follows from the name.
template <class F>
void take(const py::dict& functions, const char* name, std::string_view arguments, F*& function) {
  const py::capsule capsule = functions[name];
  const std::string_view signature = capsule.name();
  if (!signature.starts_with(arguments)) {
    throw py::import_error("scipy.linalg.cython_lapack." + std::string(name) + " has the signature " +
                           std::string(signature) + " but must begin with " + std::string(arguments));
  }
  function = reinterpret_cast<F*>(PyCapsule_GetPointer(capsule.ptr(), capsule.name()));
}

}  // namespace

void load_lapack() {
  static const bool loaded = [] {
    const py::dict functions = py::module_::import("scipy.linalg.cython_lapack").attr("__pyx_capi__");
    take(functions, "sgetrf", "void (int *, int *, ", plan::lapack<float>.getrf);
    take(functions, "dgetrf", "void (int *, int *, ", plan::lapack<double>.getrf);
    take(functions, "sgetrs", "void (char *, int *, int *, ", plan::lapack<float>.getrs);
    take(functions, "dgetrs", "void (char *, int *, int *, ", plan::lapack<double>.getrs);
    return true;
  }();
  static_cast<void>(loaded);
}

}  // namespace matgrad::bindings
