#pragma once

// Private: LARS's ratio of one segment, shared by the CPU and CUDA. The equations stand in optimizer_step.h.

#include <simclr/kernels/optimizer_step.h>

#include <cmath>

namespace simclr::kernels {

/// What a segment's d = g + decay w is multiplied with, apart from the learning rate.
struct LarsRatio {
  double ratio, decay;
};

/// `ww` and `gg`: the segment's sums of squares of w and of g (bolts) or g + decay w (simclr). NaN stays NaN.
SIMCLR_HOST_DEVICE inline LarsRatio lars_ratio(const LarsOptions& options, bool adapts, double ww, double gg,
                                               double decay, double lr) {
  const bool bolts = options.rule == LarsRule::bolts;
  if (!adapts) return {1.0, decay};
  if (ww == 0 || gg == 0) return {1.0, bolts ? 0.0 : decay};
  const double w = sqrt(ww), g = sqrt(gg);
  double ratio = bolts ? options.trust_coefficient * w / (g + decay * w + 1e-8) : options.trust_coefficient * w / g;
  if (options.clip && ratio >= lr) return {1.0, decay};
  if (options.clip) ratio /= lr;
  return {ratio, decay};
}

}  // namespace simclr::kernels
