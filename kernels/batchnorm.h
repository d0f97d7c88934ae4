#pragma once

#include <simclr/core/slot.h>
#include <simclr/core/tensor.h>

/// Batch normalisation over all but the last dimension (Ioffe & Szegedy, arXiv 1502.03167), fused with a
/// residual addition and a ReLU:
///   y = act(gamma (x - mean) rstd + beta [+ residual]),  rstd = 1 / sqrt(var + eps)
/// The ReLU lets NaN and -Inf through as NaN, and a gradient of NaN or Inf as NaN even where it is closed, so that a
/// fault stays visible behind it.
/// x, y, residual [...,C] f32 or f64 on the CPU, f32 or bf16 on a GPU; gamma, beta, mean, rstd and the running
/// statistics [C] of the same dtype, f32 beside bf16. Training goes in steps - partial sums, finalise, apply - so
/// that sums from several devices can be merged in between. Every function throws Error for tensors of other dtypes,
/// devices or shapes than these. PyTorch's conventions: biased variance normalises,
/// unbiased variance enters the running statistics, momentum 0.1 toward the new value.
namespace simclr::kernels {

/// Sums over the rows, of x[,c] - x[0,c] so that a large mean does not swallow the variance:
/// row 0: the shift, row 1: sum, row 2: sum of squares. [3,C] f64.
SIMCLR_API Tensor batchnorm_sums(const Tensor& x);

/// The sums of several parts together, [P,3,C] -> [3,C], each from batchnorm_sums of `count` rows: one after the other
/// is moved to the first one's shift. In one launch.
SIMCLR_API Tensor batchnorm_merge(const Tensor& parts, std::int64_t count);

struct BatchnormStatistics {
  Tensor mean;  // [C]
  Tensor rstd;  // [C]
};

/// Statistics of `count` rows of activations of `dtype` from their sums. Moves running_mean and running_var where
/// defined.
/// Throws Error for count < 2: the unbiased variance of one value does not exist.
SIMCLR_API BatchnormStatistics batchnorm_finalize(const Tensor& sums, std::int64_t count, DType dtype, double eps,
                                                  double momentum, Tensor running_mean, Tensor running_var);

/// Statistics for evaluation, from the running ones.
SIMCLR_API BatchnormStatistics batchnorm_from_running(const Tensor& running_mean, const Tensor& running_var,
                                                      double eps);

/// y, of x's shape and dtype; residual of x's shape, or undefined.
SIMCLR_API Tensor batchnorm_apply(const Tensor& x, const BatchnormStatistics& statistics, const Tensor& gamma,
                                  const Tensor& beta, const Tensor& residual, bool relu);

/// What the backward pass needs of the forward pass. The ReLU mask is not stored: it is recomputed from x, before
/// any rounding to bf16, or read off y where a residual was added.
struct BatchnormSaved {
  Tensor x, gamma, beta;
  BatchnormStatistics statistics;
  Tensor y;  // only where relu and a residual
  bool relu = false;
};

/// dbeta = sum g and dgamma = sum g xhat, written over [C] tensors, where g is dy behind the ReLU mask.
/// Writes g into `masked` (same shape as dy; it is the residual's gradient; may be dy) where defined.
SIMCLR_API void batchnorm_backward_sums(const Tensor& dy, const BatchnormSaved& saved, Tensor& dgamma, Tensor& dbeta,
                                        Tensor masked);

/// dx = gamma rstd (g - dbeta / count - xhat dgamma / count) in training; dx = gamma rstd g in evaluation.
/// `g` is dy, or the `masked` of the step before with `masked_already`. Writes to `dx` where defined, which may be g,
/// else to a new tensor.
SIMCLR_API Tensor batchnorm_backward_data(const Tensor& g, bool masked_already, const BatchnormSaved& saved,
                                          const Tensor& dgamma, const Tensor& dbeta, std::int64_t count, bool training,
                                          Tensor dx = {});

struct BatchnormKernels {
  Kernel<"batchnorm sums", void(const Tensor& x, Tensor& sums)> sums;
  Kernel<"batchnorm merge", void(const Tensor& parts, std::int64_t count, Tensor& sums)> merge;
  Kernel<"batchnorm finalize", void(const Tensor& sums, std::int64_t count, double eps, double momentum,
                                    BatchnormStatistics& statistics, Tensor& running_mean, Tensor& running_var)>
      finalize;
  Kernel<"batchnorm from running",
         void(const Tensor& running_mean, const Tensor& running_var, double eps, BatchnormStatistics& statistics)>
      from_running;
  Kernel<"batchnorm apply", void(const Tensor& x, const BatchnormStatistics& statistics, const Tensor& gamma,
                                 const Tensor& beta, const Tensor& residual, bool relu, Tensor& y)>
      apply;
  Kernel<"batchnorm backward sums",
         void(const Tensor& dy, const BatchnormSaved& saved, Tensor& dgamma, Tensor& dbeta, Tensor& masked)>
      backward_sums;
  Kernel<"batchnorm backward data",
         void(const Tensor& g, bool masked_already, const BatchnormSaved& saved, const Tensor& dgamma,
              const Tensor& dbeta, std::int64_t count, bool training, Tensor& dx)>
      backward_data;
};

SIMCLR_API extern const Slot<BatchnormKernels> batchnorm_slot;

}  // namespace simclr::kernels
