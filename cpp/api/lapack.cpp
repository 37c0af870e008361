// LAPACK's functions for users, found by their names.
#include "matgrad/lapack.h"

#include <stdexcept>
#include <string>

#include "plan/lapack.h"

namespace matgrad {
namespace {

/// All functions of a precision, whose names begin with that letter.
template <class T>
plan::Lapack<T> found(LapackFunction (*lookup)(const char* name), char precision) {
  plan::Lapack<T> lapack;
  plan::for_each_function(lapack, [&]<class F>(const char* rest, F*& function) {
    const std::string name = precision + std::string(rest);
    function = reinterpret_cast<F*>(lookup(name.c_str()));
    if (function == nullptr) throw std::invalid_argument("set_lapack: there is no function " + name);
  });
  return lapack;
}

}  // namespace

void set_lapack(LapackFunction (*lookup)(const char* name)) {
  const auto f32 = found<float>(lookup, 's');
  const auto f64 = found<double>(lookup, 'd');
  plan::lapack<float> = f32;
  plan::lapack<double> = f64;
}

bool has_lapack() {
  return plan::lapack<double>.getrf != nullptr;
}

}  // namespace matgrad
