// LAPACK's functions for decompositions of matrices, as function pointers that are supplied from outside.
#pragma once

namespace matgrad::plan {

/// Arguments as in Fortran.
template <class T>
struct Lapack {
  void (*getrf)(int* m, int* n, T* a, int* lda, int* pivots, int* info) = nullptr;
  void (*getrs)(char* trans, int* n, int* columns, T* a, int* lda, int* pivots, T* b, int* ldb, int* info) = nullptr;
  void (*getri)(int* n, T* a, int* lda, int* pivots, T* work, int* work_size, int* info) = nullptr;
  void (*potrf)(char* triangle, int* n, T* a, int* lda, int* info) = nullptr;
  void (*potrs)(char* triangle, int* n, int* columns, T* a, int* lda, T* b, int* ldb, int* info) = nullptr;
  void (*syevd)(char* vectors, char* triangle, int* n, T* a, int* lda, T* values, T* work, int* work_size,
                int* integers, int* integers_size, int* info) = nullptr;
  void (*gesdd)(char* vectors, int* m, int* n, T* a, int* lda, T* values, T* u, int* ldu, T* vt, int* ldvt, T* work,
                int* work_size, int* integers, int* info) = nullptr;
  void (*geqrf)(int* m, int* n, T* a, int* lda, T* scales, T* work, int* work_size, int* info) = nullptr;
  void (*orgqr)(int* m, int* n, int* k, T* a, int* lda, T* scales, T* work, int* work_size, int* info) = nullptr;
};

/// Calls visit(name, function) for all of them, by their names without the letter of the precision.
template <class T, class Visit>
void for_each_function(Lapack<T>& lapack, const Visit& visit) {
  visit("getrf", lapack.getrf);
  visit("getrs", lapack.getrs);
  visit("getri", lapack.getri);
  visit("potrf", lapack.potrf);
  visit("potrs", lapack.potrs);
  visit("syevd", lapack.syevd);
  visit("gesdd", lapack.gesdd);
  visit("geqrf", lapack.geqrf);
  visit("orgqr", lapack.orgqr);
}

/// The functions of one precision; to be set before a program that needs them runs.
template <class T>
inline Lapack<T> lapack{};

}  // namespace matgrad::plan
