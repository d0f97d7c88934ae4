#pragma once

// Private to NT-Xent: its tiles on the warpgroups' tensor cores, in nt_xent_sm90.cu, for nt_xent.cu.

#include <simclr/kernels/cuda/nt_xent_terms.h>

namespace simclr::gpu {
inline namespace SIMCLR_TARGET {

/// Whether nt_xent_sm90.cu is compiled: where the build is for sm_90, and for the emulated device.
#if defined(SIMCLR_EMU) || defined(SIMCLR_HAVE_SM90A)
inline constexpr bool sm90_built = true;
#else
inline constexpr bool sm90_built = false;
#endif

/// Rows of a block, and columns of a tile, which are rows of the other side.
inline constexpr int sm90_rows = 128;
constexpr int sm90_columns(std::int64_t depth) {
  return depth <= 128 ? 128 : 64;
}

/// Unit rows in panels [depth / 64, padded rows, 64], depth 64, 128 or 256.
struct PanelSide {
  Tensor u;
  AnchorTerms terms = {nullptr};
};

/// What nt_xent_sums_kernel and nt_xent_weights_kernel compute.
void launch_sums_sm90(const TileLaunch& shape, const PanelSide& rows, const PanelSide& columns,
                      const PartialSums& partial);
void launch_weights_sm90(const TileLaunch& shape, const PanelSide& rows, const PanelSide& columns, float* du);

}  // namespace SIMCLR_TARGET
}  // namespace simclr::gpu
