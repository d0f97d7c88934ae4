#pragma once

// Private to nt_xent.cpp: the arithmetic of one row of a tile, from dot products to exponentials and
// gradient weights. Loops over a row are free of branches, so that the compiler vectorises them; only
// highest_negative, which small temperatures need, is not.
//
// e^{x/tau} is 2^n 2^f with x log2(e)/tau = n + f. The product is kept in two parts: rounded to one f32, an
// argument of 20 would cost 1e-6 of the exponential. An integer shift (the row's maximum, or its log sum)
// is taken off n, so that it costs no accuracy and nothing can overflow.

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <type_traits>

namespace simclr::kernels::detail {

template <class T>
T multiply_add(T a, T b, T c) {
#ifdef __FMA__
  return std::fma(a, b, c);
#else
  return a * b + c;
#endif
}

/// log2(e)/tau as a sum of two numbers.
template <class T>
struct Log2Scale {
  T high, low;

  explicit Log2Scale(double temperature) {
    const long double scale = std::numbers::log2e_v<long double> / static_cast<long double>(temperature);
    high = static_cast<T>(scale);
    low = static_cast<T>(scale - static_cast<long double>(high));
  }
};

/// ln(2)^k / k!: the series of 2^f, which for |f| <= 1/2 ends below the last bit.
template <class T>
static constexpr auto exp2_series = [] {
  std::array<T, std::is_same_v<T, float> ? 8 : 14> series{};
  double term = 1;
  for (std::size_t k = 0; k < series.size(); ++k) {
    series[k] = static_cast<T>(term);
    term *= std::numbers::ln2 / static_cast<double>(k + 1);
  }
  return series;
}();

/// 2^f for the fraction f of dot * scale; `exponent` is the integer part.
template <class T>
T exp2_fraction(T dot, Log2Scale<T> scale, T& exponent) {
  constexpr auto& series = exp2_series<T>;
  exponent = std::rint(dot * scale.high);
  const T f = multiply_add(dot, scale.low, multiply_add(dot, scale.high, -exponent));
  T p = series.back();
  for (std::size_t k = series.size() - 1; k-- > 0;) p = multiply_add(p, f, series[k]);
  return p;
}

/// 2^n for an integer n; 0 where it would not be a normal number, infinity where it would not be finite.
template <class T>
T power_of_two(T n) {
  using Bits = std::conditional_t<std::is_same_v<T, float>, std::int32_t, std::int64_t>;
  using Unsigned = std::make_unsigned_t<Bits>;
  constexpr int mantissa = std::is_same_v<T, float> ? 23 : 52;
  constexpr int bias = std::is_same_v<T, float> ? 127 : 1023;
  n = n > T(-bias) ? n : T(-bias);
  n = n < T(bias + 1) ? n : T(bias + 1);
  return std::bit_cast<T>(static_cast<Unsigned>(static_cast<Bits>(n) + bias) << mantissa);
}

/// The largest dot product of row[j] but for j = self and equal groups; -1, the least there is, without any.
template <class T>
T highest_negative(const T* row, std::int64_t count, std::int64_t self, std::int32_t group,
                   const std::int32_t* groups) {
  T highest = -1;
  for (std::int64_t j = 0; j < count; ++j) {
    if (row[j] > highest && j != self && groups[j] != group) highest = row[j];
  }
  return highest;
}

/// row[j], a dot product, becomes e^{row[j]/tau} 2^-shift, and 0 where the groups are equal.
template <class T>
void exponentials(T* row, std::int64_t count, Log2Scale<T> scale, T shift, std::int32_t group,
                  const std::int32_t* groups) {
  for (std::int64_t j = 0; j < count; ++j) {
    T n;
    const T p = exp2_fraction(row[j], scale, n);
    const T e = p * power_of_two(n - shift);
    row[j] = groups[j] == group ? T(0) : e;
  }
}

/// What embeddings contribute as anchors: e 2^-shift share = e / sum of their row.
template <class T>
struct AnchorTerms {
  const T *shift, *share;
};

/// row[j], a dot product, becomes the gradient's weight: what row i contributes as an anchor (`own` points at
/// i's terms) and what column j does; 0 where the groups are equal.
template <class T>
void weights(T* row, std::int64_t count, Log2Scale<T> scale, AnchorTerms<T> own, AnchorTerms<T> others,
             std::int32_t group, const std::int32_t* groups) {
  const T shift = *own.shift, share = *own.share;
  for (std::int64_t j = 0; j < count; ++j) {
    T n;
    const T p = exp2_fraction(row[j], scale, n);
    const T w = p * (power_of_two(n - shift) * share + power_of_two(n - others.shift[j]) * others.share[j]);
    row[j] = groups[j] == group ? T(0) : w;
  }
}

}  // namespace simclr::kernels::detail
