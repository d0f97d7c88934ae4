#pragma once

#include <simclr/core/slot.h>
#include <simclr/core/tensor.h>

/// Softmax of each row of x [...,C]: y_c = e^{x_c - m} / sum_k e^{x_k - m}, m the row's maximum, so that nothing
/// overflows. f32 or f64 on the CPU, f32 or bf16 on a GPU; all tensors of a call share shape, dtype and device, or
/// Error is thrown. A row with a NaN, with +Inf or with -Inf alone is NaN. The cross-entropy with labels is
/// softmax_xent.h's, which keeps the digits of probabilities near 0.
namespace simclr::kernels {

SIMCLR_API Tensor softmax_forward(const Tensor& x);
/// dx_c = y_c (dy_c - sum_k dy_k y_k). Backward needs y.
SIMCLR_API Tensor softmax_backward(const Tensor& dy, const Tensor& y);

struct SoftmaxKernels {
  Kernel<"softmax forward", void(const Tensor& x, Tensor& y)> forward;
  Kernel<"softmax backward", void(const Tensor& dy, const Tensor& y, Tensor& dx)> backward;
};

SIMCLR_API extern const Slot<SoftmaxKernels> softmax_slot;

}  // namespace simclr::kernels
