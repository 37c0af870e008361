// Sine, cosine and tangent of every lane, in double precision for both precisions.
//
// |x| = n π/2 + r with |r| ≤ π/4: by the constant split into short parts up to 2^20 (Cody and Waite), beyond that by
// the bits of 2/π that matter (Payne and Hanek 1983), one lane at a time.
#pragma once

#include "kernels/math-base-inl.h"

namespace matgrad::kernels::MATGRAD_ISA {
namespace {

/// The series of sine and cosine on [−π/4, π/4] in powers of z = r², to the precision of T.
template <class T>
struct TrigConstants;

template <>
struct TrigConstants<double> {
  // (sin(r)/r − 1)/z, error of sin(r)/r: 2^−57.4; (cos r − 1 + z/2)/z², error of cos r: 2^−60
  static constexpr double kSine[] = {-0x1.5555555555549p-3, 0x1.111111110f87ep-7,   -0x1.a01a019c1204ap-13,
                                     0x1.71de357817576p-19, -0x1.ae5e6689085c2p-26, 0x1.5d93187b7f852p-33};
  static constexpr double kCosine[] = {0x1.555555555554cp-5,   -0x1.6c16c16c15182p-10, 0x1.a01a019cb2225p-16,
                                       -0x1.27e4f80a3b3c3p-22, 0x1.1ee9ec1d389d4p-29,  -0x1.8faeb81ad35eep-37};
};

template <>
struct TrigConstants<float> {
  // errors 2^−37.6 and 2^−33.3
  static constexpr double kSine[] = {-0x1.5555554cb9f64p-3, 0x1.11110896541f2p-7, -0x1.a00f9dad2dab2p-13,
                                     0x1.6cd859ee96aafp-19};
  static constexpr double kCosine[] = {0x1.55554ab33b6ecp-5, -0x1.6c0c8b3869b53p-10, 0x1.9a023329752d2p-16};
};

constexpr double kTwoOverPi = 0x1.45f306dc9c883p-1;
/// π/2 in parts of 33 bits, whose products with n < 2^20 are exact, and the rest.
constexpr double kHalfPi[] = {0x1.921fb544p+0, 0x1.0b4611a6p-34, 0x1.3198a2ep-69, 0x1.b839a252049c1p-104};
constexpr double kHalfPiRest = 0x1.0b4611a626331p-34;  // π/2 − kHalfPi[0]
/// Up to here n < 2^20.
constexpr double kCodyWaiteMax = 0x1p20;

/// The bits of 2/π, after 64 zeros.
constexpr uint64_t kTwoOverPiBits[] = {0x0000000000000000, 0xa2f9836e4e441529, 0xfc2757d1f534ddc0, 0xdb6295993c439041,
                                       0xfe5163abdebbc561, 0xb7246e3a424dd2e0, 0x06492eea09d1921c, 0xfe1deb1cb129a73e,
                                       0xe88235f52ebb4484, 0xe99c7026b45f7e41, 0x3991d639835339f4, 0x9c845f8bbdf9283b,
                                       0x1ff897ffde05980f, 0xef2f118b5a0a6d1f, 0x6d367ecf27cb09b7, 0x4f463f669e5fea2d,
                                       0x7527bac7ebe5f17b, 0x3d0739f78a5292ea, 0x6bfb5fb11f8d5d08, 0x56033046fc7b6bab};

/// r = r.high + r.low and the last two bits of n, with |x| = n π/2 + r.
struct Angle {
  Pair<double> r;
  Bits<double> quadrant;
};

/// significand·2^exponent, for a significand of at most 53 bits and a normal power.
MATGRAD_INLINE double times_power_of_two(uint64_t significand, int exponent) {
  return double(int64_t(significand)) * __builtin_bit_cast(double, uint64_t(1023 + exponent) << 52);
}

/// One lane of an angle, for finite x > kCodyWaiteMax.
__attribute__((noinline)) void reduce_huge(double x, double& high, double& low, uint64_t& quadrant) {
  __extension__ typedef unsigned __int128 Wide;
  // x = significand·2^exponent; bits of 2/π that only contribute multiples of 4 to x·2/π are left out, as are those
  // after the next 192. The bit at `start` has the weight 2^(1 − exponent).
  uint64_t bits = __builtin_bit_cast(uint64_t, x);
  uint64_t significand = (bits & ((uint64_t(1) << 52) - 1)) | (uint64_t(1) << 52);
  int exponent = int(bits >> 52) - 1075;
  int start = 64 + exponent - 2, word = start / 64, shift = start % 64;
  auto window = [&](int k) {
    uint64_t above = kTwoOverPiBits[word + k] << shift;
    return shift == 0 ? above : above | (kTwoOverPiBits[word + k + 1] >> (64 - shift));
  };
  // x·2/π mod 4 in units of 2^−190, in 192 bits.
  Wide lowest = Wide(significand) * window(2);
  Wide middle = Wide(significand) * window(1) + uint64_t(lowest >> 64);
  uint64_t top = significand * window(0) + uint64_t(middle >> 64);
  Wide fraction = (Wide((top << 2) | (uint64_t(middle) >> 62)) << 64) | (uint64_t(middle) << 2);
  quadrant = top >> 62;
  bool negative = (fraction >> 127) != 0;  // a fraction of ½ or more counts back from the next quadrant
  if (negative) {
    fraction = -fraction;
    quadrant = (quadrant + 1) & 3;
  }
  int zeros =
      fraction >> 64 != 0 ? __builtin_clzll(uint64_t(fraction >> 64)) : 64 + __builtin_clzll(uint64_t(fraction) | 1);
  constexpr uint64_t half_pi = 0xc90fdaa22168c235;  // π/2·2^63
  Wide r = (fraction << zeros >> 64) * half_pi;     // r·2^(127 + zeros)
  high = times_power_of_two(uint64_t(r >> 75), 75 - 127 - zeros);
  low = times_power_of_two(uint64_t(r >> 22) & ((uint64_t(1) << 53) - 1), 22 - 127 - zeros);
  if (negative) high = -high, low = -low;
}

/// The angle of magnitudes |x|, r to the precision of T.
template <class T>
MATGRAD_INLINE Angle reduce_angle(Vec<double> x) {
  Integer<double> n = nearest_integer<double>(x, kTwoOverPi);
  Angle angle{{}, (n.biased - 2 * Format<double>::kBias) & 3};
  Vec<double> r = fma<double>(n.value, broadcast(-kHalfPi[0]), x);  // exact
  if constexpr (sizeof(T) == 4) {
    angle.r.high = fma<double>(n.value, broadcast(-kHalfPiRest), r);
  } else {
    auto [second, second_error] = sum<double>(r, n.value * -kHalfPi[1]);
    auto [third, third_error] = sum<double>(second, n.value * -kHalfPi[2]);
    angle.r = ordered_sum<double>(third, second_error + (third_error - n.value * kHalfPi[3]));
  }
  Mask<double> huge = (x > kCodyWaiteMax) & (x < Format<double>::kInfinity);
  if (any<double>(huge)) [[unlikely]] {
    for (int lane = 0; lane < kLanes<double>; ++lane) {
      if (!huge[lane]) continue;
      double high, low;
      uint64_t quadrant;
      reduce_huge(x[lane], high, low, quadrant);
      angle.r.high[lane] = high;
      angle.r.low[lane] = low;
      angle.quadrant[lane] = quadrant;
    }
  }
  return angle;
}

template <class T>
MATGRAD_INLINE Vec<double> sine_series(Pair<double> r) {
  Vec<double> z = r.high * r.high;
  Vec<double> cubic = r.high * z * polynomial<double>(z, TrigConstants<T>::kSine);
  return r.high + (cubic + (r.low - 0.5 * z * r.low));
}

template <class T>
MATGRAD_INLINE Vec<double> cosine_series(Pair<double> r) {
  Vec<double> z = r.high * r.high;
  auto [sum, error] = ordered_sum<double>(broadcast(1.0), -0.5 * z);
  return sum + (error + (z * z * polynomial<double>(z, TrigConstants<T>::kCosine) - r.high * r.low));
}

/// Which of the functions to compute.
enum class Trig { sine, cosine, tangent };

/// sin, cos or tan in double precision, good to the precision of T.
template <class T, Trig trig>
MATGRAD_INLINE Vec<double> trigonometric(Vec<double> x) {
  auto [r, quadrant] = reduce_angle<T>(abs<double>(x));
  Vec<double> sine = sine_series<T>(r), cosine = cosine_series<T>(r);
  Mask<double> odd = (quadrant & 1) != 0;
  if constexpr (trig == Trig::cosine) {
    // The sign is negative in the second and third quadrant.
    return (Vec<double>)((Bits<double>)select<double>(odd, sine, cosine) ^ (((quadrant + 1) & 2) << 62));
  } else if constexpr (trig == Trig::sine) {
    return (Vec<double>)((Bits<double>)select<double>(odd, cosine, sine) ^ ((quadrant & 2) << 62) ^
                         sign_bit<double>(x));
  } else {
    Vec<double> quotient = select<double>(odd, cosine, sine) / select<double>(odd, sine, cosine);
    return (Vec<double>)((Bits<double>)quotient ^ ((quadrant & 1) << 63) ^ sign_bit<double>(x));
  }
}

template <class T, Trig trig>
MATGRAD_INLINE Vec<T> trigonometric_of(Vec<T> x) {
  if constexpr (sizeof(T) == 8) {
    return trigonometric<T, trig>(x);
  } else {
    auto [first, second] = widen(x);
    return narrow(trigonometric<T, trig>(first), trigonometric<T, trig>(second));
  }
}

template <class T>
MATGRAD_INLINE Vec<T> sin(Vec<T> x) {
  return trigonometric_of<T, Trig::sine>(x);
}

template <class T>
MATGRAD_INLINE Vec<T> cos(Vec<T> x) {
  return trigonometric_of<T, Trig::cosine>(x);
}

template <class T>
MATGRAD_INLINE Vec<T> tan(Vec<T> x) {
  return trigonometric_of<T, Trig::tangent>(x);
}

}  // namespace
}  // namespace matgrad::kernels::MATGRAD_ISA
