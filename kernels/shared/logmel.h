#pragma once

// Private: where a log-mel's samples lie, and what its floor is, shared by the CPU and CUDA.

#include <simclr/kernels/shared/target.h>

#include <cstdint>

namespace simclr::kernels {
inline namespace SIMCLR_TARGET {

/// Frames of `own` samples; an impossible length (-1) stays one.
SIMCLR_HOST_DEVICE inline std::int64_t frames_of(std::int64_t own, std::int64_t hop) {
  return own > 0 ? 1 + own / hop : own;
}

/// Place i, which may lie beyond the ends of `own` samples (at least one), mirrored until it lies inside. The samples
/// at the ends are not doubled.
SIMCLR_HOST_DEVICE inline std::int64_t mirrored(std::int64_t i, std::int64_t own) {
  if (i >= 0 && i < own) return i;
  if (own == 1) return 0;
  const std::int64_t period = 2 * (own - 1), rest = i % period, place = rest < 0 ? rest + period : rest;
  return place < own ? place : period - place;
}

/// A floor, as a part of full scale, in power: a sine of amplitude 1 on a bin has (window / 4)^2.
SIMCLR_HOST_DEVICE inline double floor_power(double floor, std::int64_t window) {
  const double full = static_cast<double>(window) / 4;
  return floor * full * full;
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::kernels
