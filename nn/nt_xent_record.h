#pragma once

// Private to nn: NT-Xent for those who add up the gradients of several calls before the cap of a learned temperature is
// applied to their sum.

#include <simclr/nn/losses.h>

namespace simclr::nn {

enum class ScaleGradient { capped, raw };

/// The rectangular nt_xent() of losses.h, whose gradient of logit_scale is `capped` as kernels::NtXentTemperature says,
/// or what it is without a cap.
Tensor record_nt_xent(const Tensor& anchors, const Tensor& candidates, const kernels::NtXentPairs& pairs,
                      const NtXentOptions& options, ScaleGradient kind);

}  // namespace simclr::nn
