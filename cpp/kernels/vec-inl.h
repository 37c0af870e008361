// The SIMD vector: loads, stores, fused multiply-add, sums. Everything else is the compiler's vector arithmetic.
//
// Included once by table.cpp for each instruction set. Everything lives in an anonymous namespace inside the
// namespace of that instruction set, so that no function compiled for one can be linked into another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

#define MATGRAD_INLINE inline __attribute__((always_inline))

template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(kVectorBytes)));
  typedef T unaligned __attribute__((vector_size(kVectorBytes), aligned(alignof(T)), may_alias));
};

/// A register of elements T: + - * / and comparisons work element by element, also with a scalar.
template <class T>
using Vec = typename VectorOf<T>::type;

/// What a comparison of Vec<T> gives: all bits of a lane set where it holds, none elsewhere.
template <class T>
using Mask = decltype(Vec<T>{} < Vec<T>{});

/// Elements in a register.
template <class T>
constexpr int kLanes = kVectorBytes / int(sizeof(T));

template <class T>
MATGRAD_INLINE Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename VectorOf<T>::unaligned*>(p);
}

template <class T>
MATGRAD_INLINE void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename VectorOf<T>::unaligned*>(p) = v;
}

template <class T>
MATGRAD_INLINE Vec<T> broadcast(T s) {
  return s - Vec<T>{};
}

/// Bytes that caches and memory exchange at a time.
constexpr int kLineBytes = 64;

/// Stores at p, aligned to the register's size, past the cache where the instruction set can. Follow with stream_fence.
template <class T>
MATGRAD_INLINE void stream(T* p, Vec<T> v) {
#if defined(__AVX512F__)
  _mm512_stream_si512(reinterpret_cast<__m512i*>(p), (__m512i)v);
#elif defined(__AVX2__)
  _mm256_stream_si256(reinterpret_cast<__m256i*>(p), (__m256i)v);
#elif defined(__SSE2__)
  _mm_stream_si128(reinterpret_cast<__m128i*>(p), (__m128i)v);
#else
  store(p, v);
#endif
}

/// Orders streamed stores before all later ones.
MATGRAD_INLINE void stream_fence() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

#if defined(__AVX2__) && !defined(__AVX512F__)
/// All bits set in lanes [first, last), as AVX2's masked loads and stores take them.
template <class T>
MATGRAD_INLINE __m256i lanes_between(int64_t first, int64_t last) {
  if constexpr (sizeof(T) == 8) {
    const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
    return _mm256_andnot_si256(_mm256_cmpgt_epi64(_mm256_set1_epi64x(first), lane),
                               _mm256_cmpgt_epi64(_mm256_set1_epi64x(last), lane));
  } else {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(int(first)), lane),
                               _mm256_cmpgt_epi32(_mm256_set1_epi32(int(last)), lane));
  }
}
#endif

/// Lanes [first, last) of the register at p; zero in the other lanes, whose memory isn't touched.
template <class T>
MATGRAD_INLINE Vec<T> load_between(const T* p, int64_t first, int64_t last) {
#if defined(__AVX512F__)
  const uint32_t lanes = (1u << last) - (1u << first);
  if constexpr (sizeof(T) == 8) {
    return (Vec<T>)_mm512_maskz_loadu_pd(__mmask8(lanes), p);
  } else {
    return (Vec<T>)_mm512_maskz_loadu_ps(__mmask16(lanes), p);
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 8) {
    return (Vec<T>)_mm256_maskload_pd(p, lanes_between<T>(first, last));
  } else {
    return (Vec<T>)_mm256_maskload_ps(p, lanes_between<T>(first, last));
  }
#else
  T lanes[kLanes<T>] = {};
  for (int64_t i = first; i < last; ++i) lanes[i] = p[i];
  return load(lanes);
#endif
}

/// Stores lanes [first, last) of v in the register's place at p; other memory isn't touched.
template <class T>
MATGRAD_INLINE void store_between(T* p, Vec<T> v, int64_t first, int64_t last) {
#if defined(__AVX512F__)
  const uint32_t lanes = (1u << last) - (1u << first);
  if constexpr (sizeof(T) == 8) {
    _mm512_mask_storeu_pd(p, __mmask8(lanes), (__m512d)v);
  } else {
    _mm512_mask_storeu_ps(p, __mmask16(lanes), (__m512)v);
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 8) {
    _mm256_maskstore_pd(p, lanes_between<T>(first, last), (__m256d)v);
  } else {
    _mm256_maskstore_ps(p, lanes_between<T>(first, last), (__m256)v);
  }
#else
  for (int64_t i = first; i < last; ++i) p[i] = v[i];
#endif
}

/// The first `count` (0 to kLanes) elements at p; zero in the other lanes, whose memory isn't touched.
template <class T>
MATGRAD_INLINE Vec<T> load_first(const T* p, int64_t count) {
  return load_between(p, 0, count);
}

/// Stores the first `count` (0 to kLanes) lanes of v at p; other memory isn't touched.
template <class T>
MATGRAD_INLINE void store_first(T* p, Vec<T> v, int64_t count) {
  store_between(p, v, 0, count);
}

/// v with zeros in the lanes from `count` on.
template <class T>
MATGRAD_INLINE Vec<T> keep_first(Vec<T> v, int64_t count) {
  Vec<T> lane;
  for (int i = 0; i < kLanes<T>; ++i) lane[i] = T(i);
  return lane < broadcast(T(count)) ? v : Vec<T>{};
}

/// Whether fma rounds once.
#if defined(__FMA__) || defined(__ARM_NEON)
constexpr bool kFusedMultiplyAdd = true;
#else
constexpr bool kFusedMultiplyAdd = false;
#endif

/// a·b + c with one rounding where the instruction set has it, else with two.
template <class T>
MATGRAD_INLINE Vec<T> fma(Vec<T> a, Vec<T> b, Vec<T> c) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 8) {
    return (Vec<T>)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
  } else {
    return (Vec<T>)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
  }
#elif defined(__FMA__)
  if constexpr (sizeof(T) == 8) {
    return (Vec<T>)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
  } else {
    return (Vec<T>)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
  }
#elif defined(__ARM_NEON)
  if constexpr (sizeof(T) == 8) {
    return (Vec<T>)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
  } else {
    return (Vec<T>)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
  }
#else
  return a * b + c;
#endif
}

/// a where the mask is set, b elsewhere.
template <class T>
MATGRAD_INLINE Vec<T> select(Mask<T> mask, Vec<T> a, Vec<T> b) {
  return mask ? a : b;
}

/// Whether the mask is set in any lane.
template <class T>
MATGRAD_INLINE bool any(Mask<T> mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi64_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX2__)
  return _mm256_movemask_epi8((__m256i)mask) != 0;
#elif defined(__SSE2__)
  return _mm_movemask_epi8((__m128i)mask) != 0;
#elif defined(__ARM_NEON)
  return vmaxvq_u32((uint32x4_t)mask) != 0;
#endif
}

/// The halves of a register of float as double.
struct Widened {
  Vec<double> first, second;
};

typedef float HalfOfFloats __attribute__((vector_size(kVectorBytes / 2)));

MATGRAD_INLINE Widened widen(Vec<float> v) {
  HalfOfFloats halves[2];
  std::memcpy(halves, &v, sizeof v);
  return {__builtin_convertvector(halves[0], Vec<double>), __builtin_convertvector(halves[1], Vec<double>)};
}

/// The inverse of widen, rounding.
MATGRAD_INLINE Vec<float> narrow(Vec<double> first, Vec<double> second) {
  HalfOfFloats halves[2] = {__builtin_convertvector(first, HalfOfFloats),
                            __builtin_convertvector(second, HalfOfFloats)};
  Vec<float> v;
  std::memcpy(&v, halves, sizeof v);
  return v;
}

/// The square root, correctly rounded.
template <class T>
MATGRAD_INLINE Vec<T> sqrt(Vec<T> v) {
#if defined(__AVX512F__)
  // All lanes by mask: GCC 12 warns of an uninitialised variable inside the intrinsics without one.
  if constexpr (sizeof(T) == 8) return (Vec<T>)_mm512_maskz_sqrt_pd(__mmask8(-1), (__m512d)v);
  if constexpr (sizeof(T) == 4) return (Vec<T>)_mm512_maskz_sqrt_ps(__mmask16(-1), (__m512)v);
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 8) return (Vec<T>)_mm256_sqrt_pd((__m256d)v);
  if constexpr (sizeof(T) == 4) return (Vec<T>)_mm256_sqrt_ps((__m256)v);
#elif defined(__SSE2__)
  if constexpr (sizeof(T) == 8) return (Vec<T>)_mm_sqrt_pd((__m128d)v);
  if constexpr (sizeof(T) == 4) return (Vec<T>)_mm_sqrt_ps((__m128)v);
#elif defined(__ARM_NEON)
  if constexpr (sizeof(T) == 8) return (Vec<T>)vsqrtq_f64((float64x2_t)v);
  if constexpr (sizeof(T) == 4) return (Vec<T>)vsqrtq_f32((float32x4_t)v);
#endif
}

/// The sum of all lanes, added in halves; rotating the lanes gives the same bits.
template <class T>
MATGRAD_INLINE T sum_lanes(Vec<T> v) {
  T lanes[kLanes<T>];
  std::memcpy(lanes, &v, sizeof v);
#pragma GCC unroll 8
  for (int half = kLanes<T> / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
