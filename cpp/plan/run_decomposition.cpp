// Decompositions of matrices by LAPACK; matrices are in column order, as LAPACK and NumPy have them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "plan/cholesky.h"
#include "plan/exponential.h"
#include "plan/lapack.h"
#include "plan/matrices.h"
#include "plan/run.h"
#include "plan/scratch.h"

namespace matgrad::plan {
namespace {

/// A = (A + Aᵀ)/2.
template <class T>
void symmetrize(int64_t n, T* A) {
  constexpr int64_t kTile = 32;
  for (int64_t block = 0; block < n; block += kTile) {
    for (int64_t i = block + 1; i < n; ++i) {
      for (int64_t j = block; j < std::min(i, block + kTile); ++j) {
        T &below = A[i * n + j], &above = A[j * n + i];
        below = above = (below + above) / 2;
      }
    }
  }
}

/// Memory that LAPACK works in, of the size that it asks for.
template <class T>
class Work {
 public:
  /// Calls function(work, work_size): first to learn the size, then with so much memory.
  template <class Function>
  void call(const Function& function) {
    T wanted = 0;
    function(&wanted, -1);
    // In float32 a large size may have been rounded down.
    const auto size = int64_t(double(wanted) * (1 + double(std::numeric_limits<T>::epsilon()))) + 1;
    static thread_local Scratch scratch;
    function(scratch.get<T>(size_t(size)), int(size));
  }
  static int* integers(int64_t count) {
    static thread_local Scratch scratch;
    return scratch.get<int>(size_t(count));
  }
};

void require(int info, const char* message) {
  if (info != 0) throw LinalgError(message);
}

/// One matrix of a stack, as LAPACK's arguments, and where the parts of its decomposition are.
template <class T>
struct Problem {
  int rows, columns, values;
  bool vectors;
  T* matrix;
  T* parts[3];
};

template <class T>
void cholesky_factor(const Problem<T>& p) {
  const int64_t n = p.rows;
  symmetrize(n, p.matrix);
  if (!cholesky(n, p.matrix)) throw LinalgError("cholesky: Matrix is not positive definite");
  for (int64_t i = 1; i < n; ++i) std::fill_n(p.matrix + i * n, i, T(0));
}

template <class T>
void eigen(const Problem<T>& p) {
  symmetrize(p.rows, p.matrix);
  char vectors = p.vectors ? 'V' : 'N', triangle = 'L';
  int n = p.rows, info = 0, integers = p.vectors ? 3 + 5 * n : 1;
  Work<T>().call([&](T* work, int size) {
    lapack<T>.syevd(&vectors, &triangle, &n, p.matrix, &n, p.parts[0], work, &size, Work<T>::integers(integers),
                    &integers, &info);
  });
  require(info, "eigh: Eigenvalues did not converge");
}

template <class T>
void singular(const Problem<T>& p) {
  char vectors = p.vectors ? 'S' : 'N';
  int m = p.rows, n = p.columns, k = p.values, info = 0;
  Work<T>().call([&](T* work, int size) {
    lapack<T>.gesdd(&vectors, &m, &n, p.matrix, &m, p.parts[0], p.parts[1], &m, p.parts[2], &k, work, &size,
                    Work<T>::integers(8 * k), &info);
  });
  require(info, "svd: SVD did not converge");
}

template <class T>
void orthogonal(const Problem<T>& p) {
  int m = p.rows, n = p.columns, k = p.values, info = 0;
  static thread_local Scratch scratch;
  T* const scales = scratch.get<T>(size_t(k));
  Work<T>().call([&](T* work, int size) { lapack<T>.geqrf(&m, &n, p.matrix, &m, scales, work, &size, &info); });
  for (int64_t j = 0; j < n; ++j) {
    T* const column = p.parts[0] + j * k;
    const int64_t above = std::min<int64_t>(j + 1, k);
    std::copy_n(p.matrix + j * m, above, column);
    std::fill_n(column + above, k - above, T(0));
  }
  Work<T>().call([&](T* work, int size) { lapack<T>.orgqr(&m, &k, &k, p.matrix, &m, scales, work, &size, &info); });
}

template <class T>
void exponential_of(const Problem<T>& p) {
  exponential(p.rows, p.matrix);
}

}  // namespace

template <class T>
void run(const Decompose& step, const Pointers<T>& at) {
  // In the order of Decomposition: what computes it, and the sizes of its parts after the matrix.
  using Function = void (*)(const Problem<T>&);
  static constexpr Function kFunctions[] = {cholesky_factor, eigen, singular, orthogonal, exponential_of};
  const int64_t m = step.rows, n = step.columns, k = step.values();
  if (k == 0) return;
  const bool is_singular = step.kind == Decomposition::Singular;
  const int64_t sizes[] = {step.kind == Decomposition::Orthogonal ? k * n : k, m * k, k * n};
  for_each_matrix(step.count, std::max(m, n), [&](int64_t p) {
    Problem<T> problem{int(m), int(n), int(k), step.vectors, at[0] + p * m * n, {}};
    for (size_t part = 0; int(part) + 1 < step.operands; ++part) problem.parts[part] = at[part + 1] + p * sizes[part];
    if (is_singular && !step.vectors) problem.parts[1] = problem.parts[2] = problem.matrix;
    kFunctions[size_t(step.kind)](problem);
  });
}

template void run(const Decompose&, const Pointers<float>&);
template void run(const Decompose&, const Pointers<double>&);

}  // namespace matgrad::plan
