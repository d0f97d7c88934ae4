#pragma once

// One pass over n elements: f.at<N>(i) handles elements i .. i + N - 1.

#include <simclr/kernels/cuda/launch.h>
#include <simclr/kernels/cuda/vector.h>

namespace simclr::gpu {
inline namespace SIMCLR_TARGET {

inline constexpr int map_threads = 256;

/// Threads take `width` elements at a time; the last n % width go one by one.
template <int width, class F>
__global__ void __launch_bounds__(map_threads) map_kernel(std::int64_t n, F f) {
  const std::int64_t thread = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t threads = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  const std::int64_t whole = n / width;
  for (std::int64_t v = thread; v < whole; v += threads) f.template at<width>(v * width);
  const std::int64_t rest = whole * width + thread;
  if (rest < n) f.template at<1>(rest);
}

/// `aligned`: all addresses that f uses may be read `width` elements at a time.
template <int width, class F>
void map(Device device, std::int64_t n, bool aligned, const F& f) {
  static_assert(width <= map_threads);
  const auto limit = std::int64_t{32} * multiprocessors(device);
  if (aligned) {
    launch("map_kernel", device, {blocks_for(n, map_threads * width, limit), map_threads}, map_kernel<width, F>, n, f);
  } else {
    launch("map_kernel", device, {blocks_for(n, map_threads, limit), map_threads}, map_kernel<1, F>, n, f);
  }
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::gpu
