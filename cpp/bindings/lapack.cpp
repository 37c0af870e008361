// LAPACK as SciPy has it.
#include "bindings/lapack.h"

#include <pybind11/pybind11.h>

#include <string>
#include <type_traits>

#include "plan/lapack.h"

namespace matgrad::bindings {

namespace py = pybind11;

namespace {

/// How SciPy writes the arguments of a function up to the first that depends on the precision.
template <class T, class... Arguments>
std::string beginning(void (*)(Arguments...)) {
  std::string text = "void (";
  bool is_over = false;
  auto append = [&]<class A>(A*) {
    is_over |= std::is_same_v<A, T>;
    if (!is_over) text += std::is_same_v<A, char> ? "char *, " : "int *, ";
  };
  (append(Arguments()), ...);
  return text;
}

/// Takes all functions of a precision, whose names begin with that letter.
template <class T>
void take_all(const py::dict& functions, char precision, plan::Lapack<T>& lapack) {
  plan::for_each_function(lapack, [&]<class F>(const char* rest, F*& function) {
    const std::string name = precision + std::string(rest);
    const py::capsule capsule = functions[name.c_str()];
    const std::string signature = capsule.name();
    if (const std::string wanted = beginning<T>(function); !signature.starts_with(wanted)) {
      throw py::import_error("scipy.linalg.cython_lapack." + name + " has the signature " + signature +
                             " but must begin with " + wanted);
    }
    function = reinterpret_cast<F*>(PyCapsule_GetPointer(capsule.ptr(), capsule.name()));
  });
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
