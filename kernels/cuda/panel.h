#pragma once

// How matrices of bf16 lie where a warpgroup's tensor cores read them: panels of 64 columns, whose rows are 128 bytes.
// The pieces of 16 bytes of a row change places, piece p of row r stands at p ^ (r % 8): eight rows of one column meet
// no bank of shared memory twice.

#include <simclr/kernels/cuda/language.h>

#include <cstddef>

namespace simclr::gpu {
inline namespace SIMCLR_TARGET {

inline constexpr int panel_width = 64;
inline constexpr int panel_row_bytes = 128;
inline constexpr std::size_t panel_alignment = 1024;  // eight rows: where the pattern repeats

/// Where value `d` of row `row` of a panel stands, in values.
__host__ __device__ constexpr int panel_offset(int row, int d) {
  return row * panel_width + (d / 8 ^ row % 8) * 8 + d % 8;
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::gpu
