#pragma once

#include <simclr/core/slot.h>
#include <simclr/core/tensor.h>

/// Pooling over [N,H,W,C]. f32 or f64 on the CPU, f32 or bf16 on a GPU; outputs and gradients have their argument's
/// dtype. Every function throws Error for other dtypes, ranks and shapes.
namespace simclr::kernels {

struct MaxPoolGeometry {
  int kernel = 3;
  int stride = 2;
  int padding = 1;  // at most kernel / 2; padding never wins
};

struct MaxPoolResult {
  Tensor y;       // [N,(H+2p-k)/s+1,(W+2p-k)/s+1,C]; NaN where a window holds NaN or -Inf, so that faults stay visible
  Tensor argmax;  // i32, same shape: h * W + w of the winner in its sample; the first of equals
};

/// Of x [N,H,W,C]. Throws Error for an impossible geometry, a kernel that does not fit into x, and where argmax cannot
/// number H * W places.
SIMCLR_API MaxPoolResult max_pool_forward(const Tensor& x, const MaxPoolGeometry& geometry);
/// dx of shape `x_shape`, [N,H,W,C], from dy and argmax, both of y's shape; each dy goes to its winner.
SIMCLR_API Tensor max_pool_backward(const Tensor& dy, const Tensor& argmax, const Shape& x_shape,
                                    const MaxPoolGeometry& geometry);

/// [N,H,W,C] -> [N,C], the mean over H and W.
SIMCLR_API Tensor global_average_pool_forward(const Tensor& x);
/// dx of shape `x_shape`, [N,H,W,C], from dy [N,C]: each place gets its share.
SIMCLR_API Tensor global_average_pool_backward(const Tensor& dy, const Shape& x_shape);

struct PoolKernels {
  Kernel<"max pool forward", void(const Tensor& x, const MaxPoolGeometry& geometry, Tensor& y, Tensor& argmax)>
      max_forward;
  Kernel<"max pool backward", void(const Tensor& dy, const Tensor& argmax, const MaxPoolGeometry& geometry, Tensor& dx)>
      max_backward;
  Kernel<"average pool forward", void(const Tensor& x, Tensor& y)> global_average_forward;
  Kernel<"average pool backward", void(const Tensor& dy, Tensor& dx)> global_average_backward;
};

SIMCLR_API extern const Slot<PoolKernels> pool_slot;

}  // namespace simclr::kernels
