#pragma once

// Private: an element of softmax cross-entropy's gradient, shared by the CPU and CUDA.

#include <simclr/kernels/shared/target.h>

#include <cmath>

namespace simclr::kernels {
inline namespace SIMCLR_TARGET {

/// (softmax(x) - onehot) scale, for the logit x of a row with this log_sum. The label's by expm1: softmax - 1 would
/// cancel where the prediction is sure.
SIMCLR_HOST_DEVICE inline double softmax_gradient(double x, double log_sum, bool is_label, double scale) {
  const double power = x - log_sum;
  return (is_label ? expm1(power) : exp(power)) * scale;
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::kernels
