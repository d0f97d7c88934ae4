#pragma once

#include <simclr/core/slot.h>
#include <simclr/core/tensor.h>

/// GELU (arXiv 1606.08415), the exact form, as PyTorch's default, and not the one by tanh:
///   y = x P(x),  P(x) = erfc(-x / sqrt 2) / 2, the normal distribution's cumulative function, p its density
/// Any shape; f32 or f64 on the CPU, f32 or bf16 on a GPU; all tensors of a call share shape, dtype and device, or
/// Error is thrown. f32 errs by a few of its last bits, far below 0 too, where P is small. NaN and -Inf give NaN, so
/// that a fault stays visible.
namespace simclr::kernels {

/// y = x P(x).
SIMCLR_API Tensor gelu_forward(const Tensor& x);
/// dx = dy (P(x) + x p(x)). Backward needs x.
SIMCLR_API Tensor gelu_backward(const Tensor& dy, const Tensor& x);

struct GeluKernels {
  Kernel<"gelu forward", void(const Tensor& x, Tensor& y)> forward;
  Kernel<"gelu backward", void(const Tensor& dy, const Tensor& x, Tensor& dx)> backward;
};

SIMCLR_API extern const Slot<GeluKernels> gelu_slot;

}  // namespace simclr::kernels
