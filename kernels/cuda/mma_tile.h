#pragma once

// Products of bf16 rows on the tensor cores, 128 threads: four warps of 16 or 32 rows each, whose values stay in
// registers; tiles of 64 columns pass through shared memory, one being copied while the other is used.

#include <simclr/kernels/cuda/fragments.h>
#include <simclr/kernels/cuda/tiles.h>

namespace simclr::gpu {
inline namespace SIMCLR_TARGET {

template <int depth, class Extra>
struct MmaTile {
  static constexpr int row_parts = depth <= 128 ? 2 : 1;  // of 16 rows, a warp; two halve the reads of shared memory
  static constexpr int rows = 64 * row_parts;
  static constexpr int pitch = depth + 8;  // keeps the rows of a matrix in different banks
  static constexpr int steps = depth / 16;
  static constexpr int stage = tile_size * pitch + tile_size * static_cast<int>(sizeof(Extra) / sizeof(BFloat16));
  static constexpr std::size_t shared = 2 * stage * sizeof(BFloat16);

  FragmentA u[steps][row_parts];

  /// This warp's rows, of a block that starts at `block_rows`.
  __device__ void load_rows(const BFloat16* block_rows) {
    const BFloat16* from = block_rows + fragment_row<row_parts>() * depth + fragment_column();
#pragma unroll
    for (int k = 0; k < steps; ++k) read_left(u[k], from + 16 * k, depth);
  }

  /// Starts copying 64 columns and, where there are any, their extras; they lie in this order.
  __device__ static void fetch(const BFloat16* columns, const Extra* extras, BFloat16* to) {
    constexpr int vectors = depth / 8, rows_at_once = tile_threads / vectors;
    const int thread = static_cast<int>(threadIdx.x);
    const BFloat16* from = columns + thread * 8;
    BFloat16* row = to + thread / vectors * pitch + thread % vectors * 8;
#pragma unroll
    for (int r = 0; r < tile_size; r += rows_at_once) copy_async16(row + r * pitch, from + r * depth);
    constexpr int at_once = 16 / static_cast<int>(sizeof(Extra));
    if (extras != nullptr && threadIdx.x < tile_size / at_once) {
      copy_async16(to + tile_size * pitch + threadIdx.x * 8, extras + threadIdx.x * at_once);
    }
    copy_async_commit();
  }

  __device__ static const Extra* extras_of(const BFloat16* tile) {
    return reinterpret_cast<const Extra*>(tile + tile_size * pitch);
  }

  /// x of this warp's rows and columns [column, column + 8 column_parts) of a tile.
  template <int column_parts>
  __device__ void products(const BFloat16* tile, int column, FragmentC (&x)[row_parts][column_parts]) const {
    for_each_value(x, [](float& value, int, int) { value = 0; });
#pragma unroll
    for (int k = 0; k < steps; ++k) multiply_rows(x, u[k], tile + column * pitch + 16 * k, pitch);
  }

  /// Calls use(tile, its columns' memory) for tiles [0, tiles), with a barrier between two calls.
  template <class Use>
  __device__ static void sweep(const BFloat16* columns, const Extra* extras, int tiles, BFloat16* shared_memory,
                               Use&& use) {
    const auto fetch_tile = [&](int tile) {
      const std::int64_t first = static_cast<std::int64_t>(tile) * tile_size;
      fetch(columns + first * depth, extras == nullptr ? nullptr : extras + first, shared_memory + tile % 2 * stage);
    };
    fetch_tile(0);
    for (int tile = 0; tile < tiles; ++tile) {
      copy_async_wait<0>();
      __syncthreads();  // the tile is there, and nobody reads the other one
      if (tile + 1 < tiles) fetch_tile(tile + 1);
      use(tile, static_cast<const BFloat16*>(shared_memory + tile % 2 * stage));
    }
  }
};

}  // namespace SIMCLR_TARGET
}  // namespace simclr::gpu
