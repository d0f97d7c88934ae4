#pragma once

// Private to the optimizers on a GPU: how the arenas [n] are dealt to warps, whose segments these elements are, and
// which step it is.

#include <simclr/kernels/cuda/vector.h>
#include <simclr/kernels/cuda/warp.h>
#include <simclr/kernels/shared/optimizer_step.h>

namespace simclr::kernels {
inline namespace SIMCLR_TARGET {

using namespace gpu;

inline constexpr int update_threads = 256;
inline constexpr int lane_vectors = 2;  // a lane's share of a run, all on their way together

/// Elements of a warp's run, `width` of them a vector.
template <int width>
inline constexpr std::int64_t run_size = 32 * lane_vectors* width;

template <int width>
inline constexpr std::int64_t block_size = update_threads / 32 * run_size<width>;

/// Segments in device memory; `count` of them.
struct Segments {
  const Segment* list;
  int count;

  /// The first one at or behind `from` that ends behind element i; `count` where none does.
  __device__ int walk(int from, std::int64_t i) const {
    while (from < count && list[from].end <= i) ++from;
    return from;
  }
  __device__ int find(std::int64_t i) const {
    int low = 0, high = count;
    while (low < high) {
      const int middle = (low + high) / 2;
      if (list[middle].end > i) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }
};

__device__ inline std::int64_t warp_run() {
  return static_cast<std::int64_t>(blockIdx.x) * (update_threads / 32) + threadIdx.x / 32;
}

/// Where vector j of this lane starts.
template <int width>
__device__ std::int64_t lane_element(std::int64_t run, int j) {
  return run * run_size<width> + (j * 32 + lane_index()) * width;
}

/// True for one thread, that of the last of `count` blocks to call this. What each block has done before, the last one
/// finds done. One thread a block calls it; `arrived` is 0 before and after.
__device__ inline bool last_to_arrive(unsigned* arrived, unsigned count) {
  __threadfence();
  const bool last = atomicInc(arrived, count - 1) == count - 1;
  __threadfence();
  return last;
}

/// The learning rates, and the step that chooses among them.
struct Timetable {
  const float* rates;
  std::int64_t count;
  std::int32_t* step;
  unsigned* readers;             // blocks of this launch that have read the step
  const std::int32_t* bad_step;  // may be null

  __device__ bool stopped() const { return bad_step != nullptr && *bad_step != -1; }

  __device__ double rate(std::int32_t at) const { return scheduled_rate(rates, count, at); }

  /// The step, which is one later for the next launch. One thread of every block calls it.
  __device__ std::int32_t advance() const {
    const std::int32_t now = *step;
    if (last_to_arrive(readers, gridDim.x)) *step = now + 1;
    return now;
  }
};

}  // namespace SIMCLR_TARGET
}  // namespace simclr::kernels
