#pragma once

// Private, for files of loops (see isa.h): the exponential function of a vector, and what it is made of.

#include "isa.h"

namespace simclr::kernels::SIMCLR_ISA {

/// The parts of a T, and how many terms of the series of 2^f end below its last bit for |f| <= 1/2.
template <class T>
struct Format;
template <>
struct Format<float> {
  using Bits = std::uint32_t;
  static constexpr int mantissa = 23, bias = 127, terms = 8;
};
template <>
struct Format<double> {
  using Bits = std::uint64_t;
  static constexpr int mantissa = 52, bias = 1023, terms = 14;
};
template <class T>
using Bits = typename Format<T>::Bits;

/// ln(2)^k / k!
template <class T>
struct Exp2Series {
  T at[Format<T>::terms];

  constexpr Exp2Series() : at{} {
    double term = 1;
    for (int k = 0; k < Format<T>::terms; ++k) {
      at[k] = static_cast<T>(term);
      term *= 0.693147180559945309417 / (k + 1);
    }
  }
};

/// x + integer_place rounds x to an integer n, and ends in the bits of the exponent of 2^n.
template <class T>
constexpr T integer_place = static_cast<T>((std::int64_t{3} << (Format<T>::mantissa - 1)) + Format<T>::bias);

/// 2^n from n + integer_place.
template <class T>
[[gnu::always_inline]] inline Vector<T> power_of_two(Vector<T> placed) {
  return reinterpret_cast<Vector<T>>(reinterpret_cast<Vector<Bits<T>>>(placed) << Format<T>::mantissa);
}

/// 2^{n - shift}: 0 where that is no normal number, infinity where it is not finite.
template <class T>
[[gnu::always_inline]] inline Vector<T> power_of_two(Vector<T> placed, Vector<T> shift) {
  const Vector<T> least = broadcast(T(-Format<T>::bias)), most = broadcast(T(Format<T>::bias + 1));
  Vector<T> n = placed - integer_place<T> - shift;
  n = n > least ? n : least;
  n = n < most ? n : most;
  return power_of_two<T>(n + integer_place<T>);
}

/// 2^x for x that are 0 or below it, or above by roundings: 2^n by its bits, 2^{x - n} by its series, n being the
/// nearest integer. 0 where that is no normal number. A NaN stays one. Above 128 in f32, 1024 in f64, the bits wrap and
/// give a wrong number: in f32 roundings go that far for scores from 1e9 on, whose powers have no right digit by then.
template <class T>
[[gnu::always_inline]] inline Vector<T> exp2_below_1(Vector<T> x) {
  constexpr Exp2Series<T> series;
  const Vector<T> least = broadcast(T(1 - Format<T>::bias));
  const Vector<T> bounded = x < least ? least : x;
  const Vector<T> placed = bounded + integer_place<T>, f = bounded - (placed - integer_place<T>);
  Vector<T> p = broadcast(series.at[Format<T>::terms - 1]);
#pragma GCC unroll 16
  for (int k = Format<T>::terms - 2; k >= 0; --k) p = p * f + series.at[k];
  return x < least ? Vector<T>{} : p * power_of_two<T>(placed);
}

/// ln(2) in two parts, of which the first has so few digits that n of it are exact; and how far exponents may go that
/// e^x is a normal number.
template <class T>
struct NaturalExponent;
template <>
struct NaturalExponent<float> {
  static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f, limit = 80;
  static constexpr float least = -86.98997f, most = 88.7228394f;  // of 2^-125.5, and of the largest number
};
template <>
struct NaturalExponent<double> {
  static constexpr double ln2_high = 6.93147180369123816490e-1, ln2_low = 1.90821492927058770002e-10, limit = 700;
  static constexpr double least = -708.0498, most = 709.782712893384;  // of 2^-1021.5
};

/// 1 / k! for k = 1, 2, ...
template <class T>
struct ExpSeries {
  T at[Format<T>::terms];

  constexpr ExpSeries() : at{} {
    double term = 1;
    for (int k = 0; k < Format<T>::terms; ++k) {
      at[k] = static_cast<T>(term);
      term /= k + 2;
    }
  }
};

/// e^x - 1 with the digits of its own that x has near 0; that of +-limit for an x beyond. A NaN stays one.
template <class T>
[[gnu::always_inline]] inline Vector<T> exp_minus_1(Vector<T> x) {
  using E = NaturalExponent<T>;
  constexpr ExpSeries<T> series;
  const Vector<T> most = broadcast(E::limit), least = broadcast(-E::limit);
  x = x > most ? most : x;
  x = x < least ? least : x;
  const Vector<T> placed = x * T(1.4426950408889634074) + integer_place<T>;
  const Vector<T> n = placed - integer_place<T>;
  const Vector<T> f = x - n * E::ln2_high - n * E::ln2_low;
  Vector<T> p = broadcast(series.at[Format<T>::terms - 1]);
#pragma GCC unroll 16
  for (int k = Format<T>::terms - 2; k >= 0; --k) p = p * f + series.at[k];
  const Vector<T> power = power_of_two<T>(placed);
  return power * (p * f) + (power - T(1));
}

/// e^x of any x: infinity where that is no number of T, 0 below about 2^-125 (f64: 2^-1021). A NaN stays one.
template <class T>
[[gnu::always_inline]] inline Vector<T> exp(Vector<T> x) {
  using E = NaturalExponent<T>;
  constexpr ExpSeries<T> series;
  const Vector<T> most = broadcast(E::most), least = broadcast(E::least), infinity = broadcast(T(__builtin_inf()));
  Vector<T> bounded = x > most ? most : x;
  bounded = bounded < least ? least : bounded;
  const Vector<T> placed = bounded * T(1.4426950408889634074) + integer_place<T>;
  const Vector<T> n = placed - integer_place<T>;
  const Vector<T> f = bounded - n * E::ln2_high - n * E::ln2_low;
  Vector<T> p = broadcast(series.at[Format<T>::terms - 1]);
#pragma GCC unroll 16
  for (int k = Format<T>::terms - 2; k >= 0; --k) p = p * f + series.at[k];
  const Vector<T> value = (p * f + T(1)) * T(2) * power_of_two<T>(placed - T(1));  // 2^n may be beyond T
  return x > most ? infinity : x < least ? Vector<T>{} : value;
}

/// 1 / (1 + e^-x)
template <class T>
[[gnu::always_inline]] inline Vector<T> sigmoid(Vector<T> x) {
  return T(1) / (exp_minus_1<T>(-x) + T(2));
}

template <class T>
[[gnu::always_inline]] inline Vector<T> tanh(Vector<T> x) {
  const Vector<T> e = exp_minus_1<T>(x + x);
  return e / (e + T(2));
}

}  // namespace simclr::kernels::SIMCLR_ISA
