#pragma once

// Private to nt_xent.cu, whose head has the maths: the tiles of bf16 unit vectors, scaled so that products are x, on
// the tensor cores by mma.sync.

#include <simclr/kernels/cuda/mma_tile.h>
#include <simclr/kernels/cuda/nt_xent_terms.h>

namespace simclr::gpu {
inline namespace SIMCLR_TARGET {

// bf16, on the tensor cores: four warps of 16 or 32 rows each, whose u stays in registers; tiles of 64 columns pass
// through shared memory, one being copied while the other is used.

template <int depth, bool shifted, class Powers>
__global__ void __launch_bounds__(tile_threads, depth <= 128 ? 3 : 2)
    nt_xent_sums_kernel(const BFloat16* rows, const BFloat16* columns, int tiles, int tiles_each, Pairs pairs,
                        Powers powers, PartialSums partial) {
  using Tile = MmaTile<depth, typename Powers::Term>;
  constexpr int parts = Tile::row_parts, column_parts = 4;
  SIMCLR_DYNAMIC_SHARED(BFloat16, memory);
  const int first_row = static_cast<int>(blockIdx.x) * Tile::rows,
            first_tile = static_cast<int>(blockIdx.y) * tiles_each;
  const int row = first_row + fragment_row<parts>();
  // 1 own rows' u, into registers
  Tile own;
  own.load_rows(rows + static_cast<std::int64_t>(first_row) * depth);
  RowSums<shifted, Powers> sums[2 * parts];
  // 2 sweep the columns of this split
  Tile::sweep(columns + static_cast<std::int64_t>(first_tile) * tile_size * depth, nullptr,
              min(tiles_each, tiles - first_tile), memory, [&](int tile, const BFloat16* u) {
                const int first_column = (first_tile + tile) * tile_size;
                const bool masked = pairs.touch(first_row, Tile::rows, first_column, tile_size);
#pragma unroll 1
                for (int column = 0; column < tile_size; column += 8 * column_parts) {
                  // 3 x of 32 columns
                  FragmentC x[parts][column_parts];
                  own.products(u, column, x);
                  // 4 mask: self and positives
                  if (masked) exclude_pairs(pairs, row, first_column + column + fragment_column(), x);
                  // 5 add up 2^x, row by row
                  for_each_row(x, [&](const float(&values)[2 * column_parts], int r) {
                    sums[r].template add<1>(powers, values);
                  });
                }
              });
  // 6 four lanes' sums are one row's
#pragma unroll
  for (int r = 0; r < 2 * parts; ++r) {
    sums[r].template merge_lanes<4>();
    if (lane_index() % 4 == 0) partial.write(blockIdx.y, row + row_offset(r), sums[r]);
  }
}

template <int depth, bool shifted, class Powers>
__global__ void __launch_bounds__(tile_threads, 2)
    nt_xent_weights_kernel(TileSide<BFloat16, typename Powers::Term> rows,
                           TileSide<BFloat16, typename Powers::Term> columns, int tiles, int tiles_each, Pairs pairs,
                           Powers powers, float* du) {
  using Tile = MmaTile<depth, typename Powers::Term>;
  constexpr int parts = Tile::row_parts, column_parts = 4 / parts;
  SIMCLR_DYNAMIC_SHARED(BFloat16, memory);
  const int first_row = static_cast<int>(blockIdx.x) * Tile::rows,
            first_tile = static_cast<int>(blockIdx.y) * tiles_each;
  const int row = first_row + fragment_row<parts>();
  const std::int64_t start = static_cast<std::int64_t>(first_tile) * tile_size;
  // 1 own rows' u and terms, into registers
  Tile own;
  own.load_rows(rows.u + static_cast<std::int64_t>(first_row) * depth);
  typename Powers::Term own_terms[2 * parts];
#pragma unroll
  for (int r = 0; r < 2 * parts; ++r) own_terms[r] = rows.terms.at(row + row_offset(r));
  FragmentC sum[parts][depth / 8] = {};
  // 2 sweep the columns of this split; their terms come with them
  Tile::sweep(
      columns.u + start * depth, columns.terms.from(start).term, min(tiles_each, tiles - first_tile), memory,
      [&](int tile, const BFloat16* u) {
        const TermsOf<typename Powers::Term> others = {columns.terms.term == nullptr ? nullptr : Tile::extras_of(u)};
        const int first_column = (first_tile + tile) * tile_size;
        const bool masked = pairs.touch(first_row, Tile::rows, first_column, tile_size);
#pragma unroll 1
        for (int column = 0; column < tile_size; column += 8 * column_parts) {
          // 3 x of 16 or 32 columns
          FragmentC x[parts][column_parts];
          own.products(u, column, x);
          // 4 mask: self and positives
          if (masked) exclude_pairs(pairs, row, first_column + column + fragment_column(), x);
          // 5 x becomes W
          weigh<shifted>(powers, own_terms, others, column + fragment_column(), x);
#pragma unroll
          for (int n = 0; n < column_parts; n += 2) {
            // 6 du += W u: 16 columns' weights are a left side, the same columns' u the right one
            FragmentA w[parts];
            round_left(w, x, n);
            multiply_columns(sum, w, u + (column + 8 * n) * Tile::pitch, Tile::pitch);
          }
        }
      });
  // 7 this split's du
  const std::int64_t all_rows = static_cast<std::int64_t>(gridDim.x) * Tile::rows;
  float* const to = du + (blockIdx.y * all_rows + row) * depth + fragment_column();
  for_each_row(sum, [&](const float(&values)[depth / 4], int r) { store_row(values, to + row_offset(r) * depth); });
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::gpu
