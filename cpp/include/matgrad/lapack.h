// Where LAPACK comes from, which inverses, determinants and other decompositions of matrices are computed with.
#pragma once

namespace matgrad {

/// A function of LAPACK, whatever its arguments.
using LapackFunction = void (*)();

/// Takes LAPACK's functions from where lookup(name) says: the address of the function of that name in Fortran, such as
/// "dgetrf", whose integers have 32 bits. To be called before an expression that needs LAPACK is compiled, and not
/// while one is evaluated. Linking the CMake target matgrad::lapack does this for the LAPACK that CMake finds. Throws
/// std::invalid_argument naming a function for which the address is null; then nothing has changed.
void set_lapack(LapackFunction (*lookup)(const char* name));

/// Whether LAPACK is there.
bool has_lapack();

}  // namespace matgrad
