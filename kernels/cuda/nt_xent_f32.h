#pragma once

// Private to nt_xent.cu, whose head has the maths: the tiles of f32 unit vectors, for the f32 cores. A product of two
// rows is u.v, which Log2Scale makes x of; a thread holds 8 x 4 of a tile's pairs (tiles.h).

#include <simclr/kernels/cuda/nt_xent_terms.h>

namespace simclr::gpu {
inline namespace SIMCLR_TARGET {

inline constexpr std::size_t sums_f32_shared = 2 * simt_stage * sizeof(float);

using kernels::Log2Scale;

/// Of e^{(1 + hardness)s} and of e^{hardness s}.
struct HardScales {
  Log2Scale<float> first, second;
};

template <class Scale>
using PowersOf = std::conditional_t<std::is_same_v<Scale, HardScales>, TwoPowers, OnePower>;

/// What makes x of a product: split by the host, or here of a temperature that is learned.
__device__ inline Log2Scale<float> log2_scale(const Log2Scale<float>& scale) {
  return scale;
}
__device__ inline Log2Scale<float> log2_scale(const LearnedNumber& temperature) {
  return Log2Scale<float>::split(std::numbers::log2e / value_of(temperature));
}
__device__ inline HardScales log2_scale(const HardScales& scales) {
  return scales;
}

/// Calls body(scale, power) for each power, a constant.
template <class Body>
__device__ void for_each_power(const Log2Scale<float>& scale, Body&& body) {
  body(scale, std::integral_constant<int, 0>{});
}
template <class Body>
__device__ void for_each_power(const HardScales& scales, Body&& body) {
  body(scales.first, std::integral_constant<int, 0>{});
  body(scales.second, std::integral_constant<int, 1>{});
}

/// 2^{dot scale} = 2^x factor.
__device__ inline float scaled_argument(const Log2Scale<float>& scale, float dot, float& factor) {
  const float x = __fmul_rn(dot, scale.high);  // no part of a multiply-add: `factor` makes up for its rounding
  factor = fmaf(fmaf(dot, scale.low, fmaf(dot, scale.high, -x)), 0.693147181f, 1.0f);
  return x;
}

/// Calls body(scale, shifted), the second a constant: sums are shifted where the temperature is learned.
template <class Body>
void dispatch_scale(double temperature, const kernels::NtXentForm& form, bool shifted, Body&& body) {
  const auto with = [&](const auto& scale) {
    shifted ? body(scale, std::true_type{}) : body(scale, std::false_type{});
  };
  if (form.hardness == 0) return with(Log2Scale<float>(temperature));
  with(HardScales{Log2Scale<float>(temperature / (1 + form.hardness)), Log2Scale<float>(temperature / form.hardness)});
}
template <class Body>
void dispatch_scale(const LearnedNumber& temperature, const kernels::NtXentForm&, bool, Body&& body) {
  body(temperature, std::true_type{});
}

template <bool shifted, class Scale>
__global__ void __launch_bounds__(tile_threads)
    nt_xent_sums_f32_kernel(const float* rows, const float* columns, int depth, int tiles, int tiles_each, Pairs pairs,
                            Scale given, PartialSums partial) {
  SIMCLR_DYNAMIC_SHARED(float, stage);
  const auto scales = log2_scale(given);
  const int first_row = static_cast<int>(blockIdx.x) * tile_size,
            first_tile = static_cast<int>(blockIdx.y) * tiles_each;
  const int row = first_row + static_cast<int>(threadIdx.x) / 16, column = static_cast<int>(threadIdx.x) % 16;
  RowSums<shifted, PowersOf<Scale>> sums[8];
  // 1 sweep the columns of this split; dots = u.v of a tile
  simt_sweep(rows + static_cast<std::int64_t>(first_row) * depth,
             columns + static_cast<std::int64_t>(first_tile) * tile_size * depth, depth,
             min(tiles_each, tiles - first_tile), stage, [&](int tile, const SimtDots& dots) {
               const int first_column = (first_tile + tile) * tile_size;
               const bool masked = pairs.touch(first_row, tile_size, first_column, tile_size);
#pragma unroll
               for (int i = 0; i < 8; ++i) {
                 for_each_power(scales, [&](const Log2Scale<float>& scale, auto power) {
                   // 2 x of four columns; mask: self and positives
                   float x[4], factor[4];
#pragma unroll
                   for (int j = 0; j < 4; ++j) {
                     x[j] = scaled_argument(scale, dots[i][j], factor[j]);
                     if (masked && pairs.exclude(row + 8 * i, first_column + column + 16 * j)) x[j] = -INFINITY;
                   }
                   // 3 add up 2^x
                   RowSum<shifted>& total = sums[i].of[power()];
                   total.rise(x);
                   float sum = 0;
#pragma unroll
                   for (int j = 0; j < 4; ++j) sum += fast_exp2(x[j] - total.top) * factor[j];
                   total.sum += static_cast<double>(sum);
                 });
               }
             });
  // 4 sixteen lanes' sums are one row's
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    sums[i].template merge_lanes<16>();
    if (column == 0) partial.write(blockIdx.y, row + 8 * i, sums[i]);
  }
}

template <int parts>
constexpr std::size_t weights_f32_shared = (2 * simt_stage +
                                            tile_size * (simt_square_pitch + simt_slice_pitch<parts>)) *
                                           sizeof(float);

/// du[split] of 64 rows, columns [first, first + 64 parts) of them, which blockIdx.z picks.
template <int parts, bool shifted, class Scale>
__global__ void __launch_bounds__(tile_threads)
    nt_xent_weights_f32_kernel(TileSide<float, typename PowersOf<Scale>::Term> rows,
                               TileSide<float, typename PowersOf<Scale>::Term> columns, int depth, int tiles,
                               int tiles_each, Pairs pairs, Scale given, float* du) {
  using Powers = PowersOf<Scale>;
  SIMCLR_DYNAMIC_SHARED(float, stage);
  const auto scales = log2_scale(given);
  float* const square = stage + 2 * simt_stage;
  float* const slice = square + tile_size * simt_square_pitch;
  const int first_row = static_cast<int>(blockIdx.x) * tile_size,
            first_tile = static_cast<int>(blockIdx.y) * tiles_each;
  const int thread_row = static_cast<int>(threadIdx.x) / 16, thread_column = static_cast<int>(threadIdx.x) % 16;
  const int first_depth = static_cast<int>(blockIdx.z) * tile_size * parts;
  const float* const other_u = columns.u + static_cast<std::int64_t>(first_tile) * tile_size * depth;
  // 1 own rows' terms, into registers
  typename Powers::Term own[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) own[i] = rows.terms.at(first_row + thread_row + 8 * i);
  float sum[8][4 * parts] = {};
  // 2 sweep the columns of this split; dots = u.v of a tile
  simt_sweep(rows.u + static_cast<std::int64_t>(first_row) * depth, other_u, depth, min(tiles_each, tiles - first_tile),
             stage, [&](int tile, const SimtDots& dots) {
               const int first_column = (first_tile + tile) * tile_size;
               const bool masked = pairs.touch(first_row, tile_size, first_column, tile_size);
               // 3 of the columns' u the slice that meets W
               simt_fetch_slice<parts>(other_u + static_cast<std::int64_t>(tile) * tile_size * depth, depth,
                                       first_depth, slice);
#pragma unroll
               for (int j = 0; j < 4; ++j) {
                 // 4 x; mask: self and positives; x becomes W, in shared memory
                 const int column = thread_column + 16 * j;
                 const typename Powers::Term other = columns.terms.at(first_column + column);
#pragma unroll
                 for (int i = 0; i < 8; ++i) {
                   const int row = thread_row + 8 * i;
                   float w = 0;
                   for_each_power(scales, [&](const Log2Scale<float>& scale, auto power) {
                     float factor, x = scaled_argument(scale, dots[i][j], factor);
                     if (masked && pairs.exclude(first_row + row, first_column + column)) x = -INFINITY;
                     const float part = weight<shifted>(x, Powers::template part<power()>(own[i]),
                                                        Powers::template part<power()>(other)) *
                                        factor;
                     w = power() == 0 ? part : w + part;
                   });
                   square[row * simt_square_pitch + column] = w;
                 }
               }
               copy_async_wait<0>();
               __syncthreads();  // the square and the slice are there; the sweep's barrier follows their use
               // 5 du += W u
               simt_multiply<parts>(square, slice, sum);
             });
  // 6 this split's du
  const std::int64_t all_rows = static_cast<std::int64_t>(gridDim.x) * tile_size;
  simt_store<parts>(sum, du + (blockIdx.y * all_rows + first_row) * depth, depth, first_depth);
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::gpu
