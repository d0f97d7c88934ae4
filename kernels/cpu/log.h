#pragma once

// Private, for files of loops (see isa.h): the natural logarithm of a vector.

#include "exp.h"

namespace simclr::kernels::SIMCLR_ISA {

/// 2 / (2 k + 1), of the series log((1 + s) / (1 - s)) = 2 (s + s^3 / 3 + ...). For |s| <= 0.172 as many terms of it as
/// a T can tell.
template <class T>
struct LogSeries {
  static constexpr int terms = sizeof(T) == 4 ? 6 : 12;
  T at[terms];

  constexpr LogSeries() : at{} {
    for (int k = 0; k < terms; ++k) at[k] = static_cast<T>(2.0 / (2 * k + 1));
  }
};

/// log x of positive normal numbers; infinity and NaN stay what they are.
template <class T>
[[gnu::always_inline]] inline Vector<T> log(Vector<T> x) {
  using B = Vector<Bits<T>>;
  constexpr LogSeries<T> series;
  constexpr Bits<T> root_half = sizeof(T) == 4 ? static_cast<Bits<T>>(0x3f3504f3)              // of sqrt(1/2): x is
                                               : static_cast<Bits<T>>(0x3fe6a09e667f3bcdULL);  // 2^n m, m from it on
  constexpr T place = static_cast<T>(std::int64_t{3} << (Format<T>::mantissa - 1));  // whose last bit counts ones
  const B bits = reinterpret_cast<B>(x);
  // n with the bias added, so that no bits are those of a negative number
  const B above = bits - root_half + (static_cast<Bits<T>>(Format<T>::bias) << Format<T>::mantissa);
  const B biased = above >> Format<T>::mantissa;
  const Vector<T> m = reinterpret_cast<Vector<T>>(bits - ((biased - Format<T>::bias) << Format<T>::mantissa));
  const Vector<T> n =
      reinterpret_cast<Vector<T>>(biased + reinterpret_cast<B>(broadcast(place))) - place - T(Format<T>::bias);
  const Vector<T> s = (m - T(1)) / (m + T(1)), square = s * s;
  Vector<T> p = broadcast(series.at[LogSeries<T>::terms - 1]);
#pragma GCC unroll 12
  for (int k = LogSeries<T>::terms - 2; k >= 0; --k) p = p * square + series.at[k];
  using E = NaturalExponent<T>;
  const Vector<T> value = n * E::ln2_high + (n * E::ln2_low + s * p);
  return x - x == T(0) ? value : x;
}

}  // namespace simclr::kernels::SIMCLR_ISA
