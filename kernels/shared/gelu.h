#pragma once

// Private: GELU's functions of one value, shared by the CPU and CUDA. T is what is computed with.

#include <simclr/kernels/shared/target.h>

#include <cmath>
#include <numbers>

namespace simclr::kernels {
inline namespace SIMCLR_TARGET {

template <class T>
SIMCLR_HOST_DEVICE inline T cumulative(T x) {
  return T(0.5) * std::erfc(-x / std::numbers::sqrt2_v<T>);  // 1 + erf would cancel below 0
}

template <class T>
SIMCLR_HOST_DEVICE inline T density(T x) {
  return std::exp(T(-0.5) * x * x) * std::numbers::inv_sqrtpi_v<T> / std::numbers::sqrt2_v<T>;
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::kernels
