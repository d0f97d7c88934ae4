#pragma once

// Private: the maths of a row on the unit sphere, u = z/|z|, written once for the CPU and for GPUs. Where |z| = 0, u is
// 0 too, which is similar to nothing, and has a zero gradient. Real is the accumulator, double on both sides: a rounded
// norm would move every similarity of its row alike, which a small temperature then multiplies.

#include <simclr/kernels/shared/target.h>

namespace simclr::kernels {
inline namespace SIMCLR_TARGET {

/// u.v / tau from z.w of two rows and their norms.
template <class Real>
SIMCLR_HOST_DEVICE inline Real scaled_cosine(Real dot, Real norm, Real other_norm, Real temperature) {
  const Real norms = norm * other_norm;
  return norms == 0 ? Real{0} : dot / (norms * temperature);
}

/// dz = (du - (du.u)u) scale / |z| of one row, from du.z: du is often nearly parallel to u.
template <class Real>
struct NormBackward {
  Real along, factor;  // (du.u)/|z| and scale/|z|

  SIMCLR_HOST_DEVICE NormBackward(Real dot, Real norm, Real scale)
      : along(norm == 0 ? Real{0} : dot / (norm * norm)), factor(norm == 0 ? Real{0} : scale / norm) {}

  SIMCLR_HOST_DEVICE Real operator()(Real du, Real z) const { return (du - along * z) * factor; }
};

}  // namespace SIMCLR_TARGET
}  // namespace simclr::kernels
