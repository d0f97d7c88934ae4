#pragma once

// Sums and maxima over a warp and over a block, always in the same order: the same bits at every run.

#include <simclr/kernels/cuda/language.h>

namespace simclr::gpu {
inline namespace SIMCLR_TARGET {

inline constexpr unsigned all_lanes = 0xffffffffu;

__device__ inline int lane_index() {
  return static_cast<int>(threadIdx.x % 32);
}

/// The sum over all 32 lanes, in every lane.
template <class T>
__device__ T warp_sum(T value) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(all_lanes, value, step);
  return value;
}

template <class T>
__device__ T warp_max(T value) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    const T other = __shfl_xor_sync(all_lanes, value, step);
    value = other > value ? other : value;
  }
  return value;
}

/// The sum over a block of `threads` (a multiple of 32), in every thread. All threads call it.
template <int threads, class T>
__device__ T block_sum(T value) {
  static_assert(threads % 32 == 0 && threads <= 1024);
  if constexpr (threads == 32) {
    return warp_sum(value);
  } else {
    SIMCLR_SHARED(T, partial, [threads / 32]);
    value = warp_sum(value);
    if (lane_index() == 0) partial[threadIdx.x / 32] = value;
    __syncthreads();
    T total = partial[0];
#pragma unroll
    for (int warp = 1; warp < threads / 32; ++warp) total += partial[warp];
    __syncthreads();  // `partial` may be written again
    return total;
  }
}

/// The maximum over a block, as block_sum.
template <int threads, class T>
__device__ T block_max(T value) {
  static_assert(threads % 32 == 0 && threads <= 1024);
  if constexpr (threads == 32) {
    return warp_max(value);
  } else {
    SIMCLR_SHARED(T, partial, [threads / 32]);
    value = warp_max(value);
    if (lane_index() == 0) partial[threadIdx.x / 32] = value;
    __syncthreads();
    T highest = partial[0];
#pragma unroll
    for (int warp = 1; warp < threads / 32; ++warp) highest = partial[warp] > highest ? partial[warp] : highest;
    __syncthreads();
    return highest;
  }
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::gpu
