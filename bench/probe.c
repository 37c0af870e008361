/* What the machine can do at most: fused multiply-adds in registers, and reading, copying and zero-filling memory. */
#include <stddef.h>
#include <string.h>

#if defined(__AVX512F__)
#define WIDTH 64
#elif defined(__AVX__)
#define WIDTH 32
#else
#define WIDTH 16
#endif
#define CHAINS 12 /* independent accumulators: more than latency x throughput, fewer than registers */

typedef double f64 __attribute__((vector_size(WIDTH)));
typedef float f32 __attribute__((vector_size(WIDTH)));

/* Does `rounds` rounds of multiply-adds and returns the number of floating-point operations. */
#define FMA(name, vector, scalar)                                           \
  double name(long rounds, double* sink) {                                  \
    vector accumulator[CHAINS];                                             \
    volatile scalar near_one = (scalar)0.999, tiny = (scalar)1e-3;          \
    vector factor = near_one - (vector){0}, term = tiny - (vector){0};      \
    for (int k = 0; k < CHAINS; ++k) accumulator[k] = term * (scalar)k;     \
    for (long round = 0; round < rounds; ++round) {                         \
      _Pragma("GCC unroll 12") for (int k = 0; k < CHAINS; ++k)             \
        accumulator[k] = accumulator[k] * factor + term;                    \
    }                                                                       \
    vector sum = accumulator[0];                                            \
    for (int k = 1; k < CHAINS; ++k) sum += accumulator[k];                 \
    for (size_t k = 0; k < WIDTH / sizeof(scalar); ++k) *sink += sum[k];    \
    return 2.0 * rounds * CHAINS * (WIDTH / sizeof(scalar));                \
  }

FMA(fma_f64, f64, double)
FMA(fma_f32, f32, float)

/* Reads `bytes`, a multiple of 8 vectors, from an aligned address. */
void read_memory(const void* from, size_t bytes, double* sink) {
  const f64* data = from;
  f64 accumulator[8] = {{0}};
  for (size_t k = 0; k < bytes / WIDTH; k += 8) {
    _Pragma("GCC unroll 8") for (int j = 0; j < 8; ++j) accumulator[j] += data[k + j];
  }
  for (int j = 0; j < 8; ++j) *sink += accumulator[j][0];
}

void copy_memory(void* to, const void* from, size_t bytes) { memcpy(to, from, bytes); }

void fill_memory(void* to, size_t bytes) { memset(to, 0, bytes); }
