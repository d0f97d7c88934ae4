#pragma once

// Private: how long a padded sequence is, shared by the CPU and CUDA.

#include <simclr/kernels/shared/target.h>

#include <cstdint>

namespace simclr::kernels {
inline namespace SIMCLR_TARGET {

/// How many of its `steps` steps are sequence n's own: all where `lengths` is null, -1 where its length is impossible.
SIMCLR_HOST_DEVICE inline std::int64_t length_of(const std::int32_t* lengths, std::int64_t n, std::int64_t steps) {
  if (lengths == nullptr) return steps;
  const std::int64_t length = lengths[n];
  return length >= 0 && length <= steps ? length : -1;
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::kernels
