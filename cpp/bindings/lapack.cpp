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
void take(const py::dict& functions, const std::string& name, std::string_view arguments, F*& function) {
  const py::capsule capsule = functions[name.c_str()];
  const std::string_view signature = capsule.name();
  if (!signature.starts_with(arguments)) {
    throw py::import_error("scipy.linalg.cython_lapack." + name + " has the signature " + std::string(signature) +
                           " but must begin with " + std::string(arguments));
  }
  function = reinterpret_cast<F*>(PyCapsule_GetPointer(capsule.ptr(), capsule.name()));
}

/// All functions of a precision, whose names begin with that letter.
template <class T>
void take_all(const py::dict& functions, char precision, plan::Lapack<T>& lapack) {
  auto named = [&](const char* rest) { return precision + std::string(rest); };
  take(functions, named("getrf"), "void (int *, int *, ", lapack.getrf);
  take(functions, named("getrs"), "void (char *, int *, int *, ", lapack.getrs);
  take(functions, named("getri"), "void (int *, ", lapack.getri);
  take(functions, named("potrf"), "void (char *, int *, ", lapack.potrf);
  take(functions, named("potrs"), "void (char *, int *, int *, ", lapack.potrs);
  take(functions, named("syevd"), "void (char *, char *, int *, ", lapack.syevd);
  take(functions, named("gesdd"), "void (char *, int *, int *, ", lapack.gesdd);
  take(functions, named("geqrf"), "void (int *, int *, ", lapack.geqrf);
  take(functions, named("orgqr"), "void (int *, int *, int *, ", lapack.orgqr);
}

}  // namespace

void load_lapack() {
  static const bool loaded = [] {
    const py::dict functions = py::module_::import("scipy.linalg.cython_lapack").attr("__pyx_capi__");
    take_all(functions, 's', plan::lapack<float>);
    take_all(functions, 'd', plan::lapack<double>);
    return true;
  }();
  static_cast<void>(loaded);
}

}  // namespace matgrad::bindings
