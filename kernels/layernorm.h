#pragma once

#include <simclr/core/slot.h>
#include <simclr/core/tensor.h>

/// Layer normalisation over the last dimension (Ba et al., arXiv 1607.06450), fused with a residual addition:
///   s = x [+ residual],  y = gamma (s - mean) rstd + beta,  rstd = 1 / sqrt(var + eps)
/// with the mean and the biased variance of each row of s, as PyTorch's. x, residual, s, y and their gradients [...,C]
/// f32 or f64 on the CPU, f32 or bf16 on a GPU; gamma and beta [C], mean and rstd (one a row) of the same dtype, f32
/// beside bf16. s is rounded before it is normalised, so that fused and by itself give the same bits. Every function
/// throws Error for tensors of other dtypes, devices or shapes than these, and where C is 0.
namespace simclr::kernels {

/// What the backward pass needs of the forward pass, with gamma.
struct LayernormSaved {
  Tensor s;     // x's shape and dtype; x itself where there is no residual
  Tensor mean;  // [R], R the number of rows
  Tensor rstd;  // [R]
};

struct LayernormResult {
  Tensor y;
  LayernormSaved saved;
};

/// residual of x's shape, or undefined.
SIMCLR_API LayernormResult layernorm_forward(const Tensor& x, const Tensor& residual, const Tensor& gamma,
                                             const Tensor& beta, double eps);

/// With g = gamma dy and xhat = (s - mean) rstd:
///   dx = rstd (g - mean_c(g) - xhat mean_c(g xhat)) [+ ds]
/// which is the residual's gradient too. ds, the gradient that flowed into s itself, is of dy's shape, or undefined.
/// dgamma = sum dy xhat and dbeta = sum dy over the rows, written over [C] tensors. All sums go in a fixed order.
SIMCLR_API Tensor layernorm_backward(const Tensor& dy, const Tensor& ds, const LayernormSaved& saved,
                                     const Tensor& gamma, Tensor& dgamma, Tensor& dbeta);

struct LayernormKernels {
  Kernel<"layernorm forward", void(const Tensor& x, const Tensor& residual, const Tensor& gamma, const Tensor& beta,
                                   double eps, LayernormResult& result)>
      forward;
  Kernel<"layernorm backward", void(const Tensor& dy, const Tensor& ds, const LayernormSaved& saved,
                                    const Tensor& gamma, Tensor& dx, Tensor& dgamma, Tensor& dbeta)>
      backward;
};

SIMCLR_API extern const Slot<LayernormKernels> layernorm_slot;

}  // namespace simclr::kernels
