#pragma once

#include <simclr/core/slot.h>
#include <simclr/core/tensor.h>

/// Elementwise functions and their reductions. f32 or f64 on the CPU, f32 or bf16 on a GPU; all tensors of a call share
/// dtype and device, but a bias and its gradient, norms and sums are f32 beside bf16. What a function returns has its
/// argument's shape unless it says another. Every function throws Error for tensors of other dtypes, devices or shapes
/// than it says.
namespace simclr::kernels {

/// y = a + b, same shapes.
SIMCLR_API Tensor add(const Tensor& a, const Tensor& b);
/// y = a * b, same shapes.
SIMCLR_API Tensor multiply(const Tensor& a, const Tensor& b);
/// y = factor x, x of any shape.
SIMCLR_API Tensor scale(const Tensor& x, double factor);
/// y = max(x, 0), x of any shape; NaN where x is NaN or -Inf, so that a fault stays visible behind it.
SIMCLR_API Tensor relu_forward(const Tensor& x);
/// dx = dy where y > 0, else 0, with relu_forward()'s y, of dy's shape; NaN where such a dy is NaN or Inf, for the same
/// reason.
SIMCLR_API Tensor relu_backward(const Tensor& dy, const Tensor& y);
/// x [...,C] + bias [C].
SIMCLR_API Tensor add_bias(const Tensor& x, const Tensor& bias);
/// x [...,C] * row [C]: each row of x times one that is f32 beside bf16, as a bias is.
SIMCLR_API Tensor multiply_rows(const Tensor& x, const Tensor& row);
/// Sums of dy [...,C] over all rows, written over dbias [C]. Accumulates in f64, in a fixed order.
SIMCLR_API void bias_backward(const Tensor& dy, Tensor& dbias);
/// The sum of all elements of x of any shape, a scalar [] tensor. Accumulates in f64, in a fixed order.
SIMCLR_API Tensor sum(const Tensor& x);
/// u = x / |x| for each row of x [N,D], and the norms [N]; |x| = 0 gives u = 0.
struct Normalized {
  Tensor u;
  Tensor norm;
};
SIMCLR_API Normalized normalize_forward(const Tensor& x);
/// dx [N,D] = (du - (du.u) u) / |x| from du [N,D]; 0 where |x| = 0, NaN where such a du is NaN or Inf.
SIMCLR_API Tensor normalize_backward(const Tensor& du, const Normalized& forward);

struct ElementwiseKernels {
  Kernel<"multiply", void(const Tensor& a, const Tensor& b, Tensor& y)> multiply;
  Kernel<"scale", void(const Tensor& x, double factor, Tensor& y)> scale;
  Kernel<"relu forward", void(const Tensor& x, Tensor& y)> relu_forward;
  Kernel<"relu backward", void(const Tensor& dy, const Tensor& y, Tensor& dx)> relu_backward;
  Kernel<"add bias", void(const Tensor& x, const Tensor& bias, Tensor& y)> add_bias;
  Kernel<"multiply rows", void(const Tensor& x, const Tensor& row, Tensor& y)> multiply_rows;
  Kernel<"bias backward", void(const Tensor& dy, Tensor& dbias)> bias_backward;
  Kernel<"sum", void(const Tensor& x, Tensor& y)> sum;
  Kernel<"normalize forward", void(const Tensor& x, Tensor& u, Tensor& norm)> normalize_forward;
  Kernel<"normalize backward", void(const Tensor& du, const Normalized& forward, Tensor& dx)> normalize_backward;
};

SIMCLR_API extern const Slot<ElementwiseKernels> elementwise_slot;

}  // namespace simclr::kernels
