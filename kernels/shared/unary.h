#pragma once

// Private: the functions of unary.h of one value, shared by the CPU and CUDA. T is what is computed with.

#include <simclr/kernels/shared/target.h>
#include <simclr/kernels/unary.h>

#include <cmath>
#include <type_traits>

namespace simclr::kernels {
inline namespace SIMCLR_TARGET {

template <Unary f, class T>
SIMCLR_HOST_DEVICE inline T unary(T x) {
  if constexpr (f == Unary::exp) return std::exp(x);
  if constexpr (f == Unary::log) return std::log(x);
  if constexpr (f == Unary::sqrt) return std::sqrt(x);
  if constexpr (f == Unary::reciprocal) return T(1) / x;
  if constexpr (f == Unary::sigmoid) return T(1) / (T(1) + std::exp(-x));
  if constexpr (f == Unary::tanh) return std::tanh(x);
}

/// `saved` is y, but x of log.
template <Unary f, class T>
SIMCLR_HOST_DEVICE inline T unary_gradient(T dy, T saved) {
  if constexpr (f == Unary::exp) return dy * saved;
  if constexpr (f == Unary::log) return dy / saved;
  if constexpr (f == Unary::sqrt) return dy / (saved + saved);
  if constexpr (f == Unary::reciprocal) return -dy * saved * saved;
  if constexpr (f == Unary::sigmoid) return dy * saved * (T(1) - saved);
  if constexpr (f == Unary::tanh) return dy * (T(1) - saved * saved);
}

/// Calls body(std::integral_constant<Unary, f>).
template <class Body>
void dispatch_unary(Unary f, Body&& body) {
  switch (f) {
    case Unary::exp: return body(std::integral_constant<Unary, Unary::exp>{});
    case Unary::log: return body(std::integral_constant<Unary, Unary::log>{});
    case Unary::sqrt: return body(std::integral_constant<Unary, Unary::sqrt>{});
    case Unary::reciprocal: return body(std::integral_constant<Unary, Unary::reciprocal>{});
    case Unary::sigmoid: return body(std::integral_constant<Unary, Unary::sigmoid>{});
    case Unary::tanh: return body(std::integral_constant<Unary, Unary::tanh>{});
  }
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::kernels
