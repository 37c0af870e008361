// Closed forms of a bilinear form aᵀx xᵀb and of a distance ‖x − a‖.
#include <cmath>
#include <functional>
#include <limits>

#include "kernels/dispatch.h"
#include "matgrad/closed_form.h"
#include "plan/chunks.h"
#include "plan/scratch.h"

namespace matgrad::closed_form {

template <class T>
void bilinear_form_gradient(const Problems<T>& problems) {
  const auto& reduce = kernels::table<T>().reduce;
  const auto& outer = kernels::table<T>().outer;
  const int64_t n = problems.sizes[0];
  auto dot = [&](const T* x, const T* y) {
    return reduce_ranges(
        n, [&](int64_t first, int64_t last) { return reduce.dot(last - first, x + first, y + first); }, std::plus<>());
  };
  threads::parallel_ranges(problems.count, problems_per_chunk(n), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const T *a = problems.input(0, p), *b = problems.input(1, p), *x = problems.input(2, p);
      T* gradient = problems.output(0, p);
      const T b_x = dot(b, x), a_x = dot(a, x);
      threads::parallel_ranges(n, kElementsPerChunk, [&](int64_t first, int64_t last) {
        outer.rank_two(1, last - first, &b_x, a + first, &a_x, b + first, gradient + first, false);
      });
    }
  });
}

template <class T>
void bilinear_form_hessian(const Problems<T>& problems) {
  const auto& outer = kernels::table<T>().outer;
  const int64_t n = problems.sizes[0];
  const bool streaming = is_streamed<T>(problems.count * n * n);
  threads::parallel_ranges(
      problems.count, problems_per_chunk(n * n, kWrittenPerChunk), [&](int64_t begin, int64_t end) {
        for (int64_t p = begin; p < end; ++p) {
          const T *a = problems.input(0, p), *b = problems.input(1, p);
          T* hessian = problems.output(0, p);
          threads::parallel_ranges(n, problems_per_chunk(n, kWrittenPerChunk), [&](int64_t first, int64_t last) {
            outer.rank_two(last - first, n, a + first, b, b + first, a, hessian + first * n, streaming);
          });
        }
      });
}

namespace {

/// Sums of squares above kLeast have lost nothing to underflow. kScale, a power of two, brings the square of any number
/// that is smaller into that range, and 1 / kScale the square of any finite number: Blue's method, with two ranges.
template <class T>
constexpr T kLeast =
    std::numeric_limits<T>::min() / (std::numeric_limits<T>::epsilon() * std::numeric_limits<T>::epsilon());
template <class T>
constexpr T kScale = sizeof(T) == 8 ? T(0x1p600) : T(0x1p88);

/// Writes r = (x − a) / ‖x − a‖ and returns ‖x − a‖; r = 0 at x = a.
template <class T>
T direction(int64_t n, const T* x, const T* a, T* r) {
  const auto& reduce = kernels::table<T>().reduce;
  auto sum_of_squares = [&](T scale) {
    return reduce_ranges(
        n,
        [&](int64_t first, int64_t last) {
          return reduce.difference(last - first, x + first, a + first, scale, r + first);
        },
        std::plus<>());
  };
  T scale = 1, squares = sum_of_squares(scale);
  if (!(squares >= kLeast<T> && squares <= std::numeric_limits<T>::max())) {
    scale = squares < kLeast<T> ? kScale<T> : 1 / kScale<T>;
    squares = sum_of_squares(scale);
    if (squares == 0) return 0;
  }
  const T length = std::sqrt(squares);
  threads::parallel_ranges(n, kElementsPerChunk,
                           [&](int64_t first, int64_t last) { reduce.divide(last - first, length, r + first); });
  return length / scale;
}

}  // namespace

template <class T>
void distance_gradient(const Problems<T>& problems) {
  const int64_t n = problems.sizes[0];
  threads::parallel_ranges(problems.count, problems_per_chunk(n), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      direction(n, problems.input(0, p), problems.input(1, p), problems.output(0, p));
    }
  });
}

template <class T>
void distance_hessian(const Problems<T>& problems) {
  const auto& outer = kernels::table<T>().outer;
  const int64_t n = problems.sizes[0];
  const bool streaming = is_streamed<T>(problems.count * n * n);
  threads::parallel_ranges(
      problems.count, problems_per_chunk(n * n, kWrittenPerChunk), [&](int64_t begin, int64_t end) {
        static thread_local Scratch scratch;
        T *s = scratch.get<T>(2 * n), *diagonal = s + n;
        for (int64_t p = begin; p < end; ++p) {
          T* hessian = problems.output(0, p);
          const T distance = direction(n, problems.input(0, p), problems.input(1, p), s);
          if (distance == 0) {
            std::fill(hessian, hessian + n * n, T(0));
            continue;
          }
          // With s = r / √ρ no entry of r rᵀ / ρ overflows or is NaN on the way, however small ρ is.
          const T root = std::sqrt(distance);
          for (int64_t i = 0; i < n; ++i) {
            diagonal[i] = (1 - s[i] * s[i]) / distance;
            s[i] /= root;
          }
          threads::parallel_ranges(n, problems_per_chunk(n, kWrittenPerChunk), [&](int64_t first, int64_t last) {
            outer.rank_one(first, last, n, s, diagonal, hessian, streaming);
          });
        }
      });
}

template void bilinear_form_gradient(const Problems<float>&);
template void bilinear_form_gradient(const Problems<double>&);
template void bilinear_form_hessian(const Problems<float>&);
template void bilinear_form_hessian(const Problems<double>&);
template void distance_gradient(const Problems<float>&);
template void distance_gradient(const Problems<double>&);
template void distance_hessian(const Problems<float>&);
template void distance_hessian(const Problems<double>&);

}  // namespace matgrad::closed_form
