#pragma once

// A tensor [...,C] on a GPU as rows of channels, for kernels that treat every channel alike. A block takes some rows of
// a slice of the channels. A thread keeps its N channels, 16 bytes where possible, and goes down the rows: it divides
// once, what belongs to a channel stays in registers, and neighbouring threads read neighbouring memory.
// Sums over the rows are taken in f32 over short runs, in f64 from there on, and always in the same order: first those
// of each block (sum_rows), then all blocks (add_up, in a second kernel).

#include <simclr/kernels/cuda/launch.h>
#include <simclr/kernels/cuda/vector.h>
#include <simclr/kernels/cuda/warp.h>

#include <type_traits>

namespace simclr::gpu {
inline namespace SIMCLR_TARGET {

inline constexpr int walk_threads = 256;
inline constexpr int walk_batch = 4;  // rows whose loads a thread has under way at once

/// How blocks go over [rows,C]: `slice` threads side by side, N channels each, in `lines` rows at a time.
struct Walk {
  std::int64_t rows = 0, rows_per_block = 0;
  int channels = 0, slice = 0, lines = 0;
};

struct WalkPlan {
  Walk walk;
  LaunchShape shape;
};

/// For kernels of which a multiprocessor runs `resident` blocks at once: two rounds of them, so that none stands idle
/// for long at the end. `width` is N.
inline WalkPlan plan_walk(const Tensor& x, int width, int resident) {
  constexpr std::int64_t widest_slice = 32;  // cut so, at most a tenth of a block's threads have nothing to do
  const std::int64_t channels = x.dim(-1), rows = channels == 0 ? 0 : x.numel() / channels;
  if (rows == 0) return {{}, {dim3(0), walk_threads}};
  const std::int64_t vectors = channels / width, slices = (vectors + widest_slice - 1) / widest_slice;
  const std::int64_t slice = (vectors + slices - 1) / slices, lines = walk_threads / slice;
  const std::int64_t most_blocks = std::max<std::int64_t>(1, 2 * resident * multiprocessors(x.device()) / slices);
  const std::int64_t each = (rows + most_blocks - 1) / most_blocks, step = lines * walk_batch;
  const std::int64_t rows_per_block = (each + step - 1) / step * step;
  return {{rows, rows_per_block, static_cast<int>(channels), static_cast<int>(slice), static_cast<int>(lines)},
          {dim3(blocks_for(rows, rows_per_block), static_cast<unsigned>(slices)), walk_threads}};
}

/// A thread's channels and rows.
template <int N>
struct Share {
  int line;
  int channel = 0;                  // the first of N
  std::int64_t index = 0, end = 0;  // its first element, and where its block's rows end
  std::int64_t step;                // from row to row

  __device__ explicit Share(const Walk& walk)
      : line(static_cast<int>(threadIdx.x) / walk.slice), step(static_cast<std::int64_t>(walk.lines) * walk.channels) {
    const int c = (static_cast<int>(blockIdx.y) * walk.slice + static_cast<int>(threadIdx.x) % walk.slice) * N;
    if (line >= walk.lines || c >= walk.channels) return;  // nothing to do
    const std::int64_t first = blockIdx.x * walk.rows_per_block, next = first + walk.rows_per_block;
    channel = c;
    index = (first + line) * walk.channels + c;
    end = (next < walk.rows ? next : walk.rows) * walk.channels;
  }
};

/// Calls body(count, i) for i, i + step, ... below end, each the first of N channels of a row: walk_batch rows a call,
/// then the last ones singly. Returns the first i that is not below end.
template <class Body>
__device__ std::int64_t for_rows(std::int64_t i, std::int64_t end, std::int64_t step, Body body) {
  for (; i + (walk_batch - 1) * step < end; i += walk_batch * step) {
    body(std::integral_constant<int, walk_batch>{}, i);
  }
  for (; i < end; i += step) body(std::integral_constant<int, 1>{}, i);
  return i;
}

/// For sum_rows to write to.
inline Tensor partial_sums(const Tensor& x, const WalkPlan& plan) {
  return Tensor::empty({static_cast<std::int64_t>(plan.shape.grid.x), 2, x.dim(-1)}, DType::f64, x.device());
}

/// partial[block][0 and 1][channel] = two sums over the block's rows. add(count, i, total) adds `count` rows to the N
/// first sums and, behind them, the N second sums.
template <int N, class Add>
__device__ void sum_rows(const Walk& walk, const Share<N>& share, double* partial, Add add) {
  constexpr int run = 32;  // rows of a thread that are summed in f32
  SIMCLR_SHARED(double, sums, [2 * N][walk_threads]);
  const int me = static_cast<int>(threadIdx.x);
  // 1 this thread's rows: runs in f32, their sums in f64
  volatile double* mine = &sums[0][me];  // or they would be kept in registers, which the loads need
#pragma unroll
  for (int k = 0; k < 2 * N; ++k) mine[k * walk_threads] = 0;
  for (std::int64_t i = share.index; i < share.end;) {
    const std::int64_t stop = i + run * share.step;
    Pack<2 * N> total = {};
    i = for_rows(i, stop < share.end ? stop : share.end, share.step,
                 [&](auto count, std::int64_t at) { add(count, at, total); });
#pragma unroll
    for (int k = 0; k < 2 * N; ++k) {
      mine[k * walk_threads] = mine[k * walk_threads] + static_cast<double>(total[k]);
    }
  }
  // 2 the lines of the block, half of them onto the others at a time
  int half = 1;
  while (2 * half < walk.lines) half *= 2;
  for (; half > 0; half /= 2) {
    __syncthreads();
    if (share.line < half && share.line + half < walk.lines) {
#pragma unroll
      for (int k = 0; k < 2 * N; ++k) sums[k][me] += sums[k][me + half * walk.slice];
    }
  }
  // 3 the first line writes
  if (share.line > 0 || share.end == 0) return;
  double* to = partial + static_cast<std::int64_t>(blockIdx.x) * 2 * walk.channels + share.channel;
#pragma unroll
  for (int k = 0; k < N; ++k) to[k] = sums[k][me];
#pragma unroll
  for (int k = 0; k < N; ++k) to[walk.channels + k] = sums[N + k][me];
}

inline constexpr int add_up_channels = 8;  // of a block of walk_threads, in 32 lines

struct Sums {
  double first, second;
};

/// The sums over all blocks of sum_rows, valid in the first `add_up_channels` threads: those of added_channel. All
/// threads call it.
__device__ inline Sums add_up(const double* partial, std::int64_t blocks, int channels) {
  SIMCLR_SHARED(Sums, warps, [walk_threads / 32][add_up_channels]);
  const int column = static_cast<int>(threadIdx.x) % add_up_channels;
  const int c = static_cast<int>(blockIdx.x) * add_up_channels + column;
  // 1 each thread: some of the blocks, for one channel
  Sums sum = {0, 0};
  if (c < channels) {
#pragma unroll 4
    for (std::int64_t b = threadIdx.x / add_up_channels; b < blocks; b += walk_threads / add_up_channels) {
      sum.first += partial[2 * b * channels + c];
      sum.second += partial[(2 * b + 1) * channels + c];
    }
  }
  // 2 the lanes of a warp that have the same channel
#pragma unroll
  for (int lanes = add_up_channels; lanes < 32; lanes *= 2) {
    sum.first += __shfl_xor_sync(all_lanes, sum.first, lanes);
    sum.second += __shfl_xor_sync(all_lanes, sum.second, lanes);
  }
  // 3 the warps, in order
  if (lane_index() < add_up_channels) warps[threadIdx.x / 32][column] = sum;
  __syncthreads();
  Sums total = warps[0][column];
#pragma unroll
  for (int warp = 1; warp < walk_threads / 32; ++warp) {
    total.first += warps[warp][column].first;
    total.second += warps[warp][column].second;
  }
  return total;
}

/// The channel whose sums add_up gave this thread, or -1.
__device__ inline int added_channel(int channels) {
  const int c = static_cast<int>(blockIdx.x * add_up_channels + threadIdx.x);
  return threadIdx.x < add_up_channels && c < channels ? c : -1;
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::gpu
