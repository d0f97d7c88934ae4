#pragma once

#include <simclr/core/slot.h>
#include <simclr/core/tensor.h>

/// Softmax cross-entropy with integer labels, mean over the rows:
///   loss = (1/N) sum_i [ log sum_k e^{x_ik} - x_{i,label_i} ],  dx = (softmax(x) - onehot) dloss / N
/// x [N,K] f32 or f64 on the CPU, f32 or bf16 on a GPU; the loss and its gradient are f32 beside bf16. labels i32 [N]
/// in 0..K-1. Both functions throw Error for an empty x, and for other shapes, dtypes and devices.
namespace simclr::kernels {

struct SoftmaxXentResult {
  Tensor loss;     // scalar []
  Tensor log_sum;  // f64 [N], for the backward pass
};

/// A label outside 0..K-1 is an Error on the CPU (row and value are named). A GPU cannot throw: there the loss and the
/// row of dx become NaN.
SIMCLR_API SoftmaxXentResult softmax_xent_forward(const Tensor& x, const Tensor& labels);
/// dx [N,K] from forward's x, labels and log_sum, and dloss [], of the loss's dtype.
SIMCLR_API Tensor softmax_xent_backward(const Tensor& x, const Tensor& labels, const Tensor& log_sum,
                                        const Tensor& dloss);

struct SoftmaxXentKernels {
  Kernel<"softmax_xent forward", void(const Tensor& x, const Tensor& labels, Tensor& loss, Tensor& log_sum)> forward;
  Kernel<"softmax_xent backward",
         void(const Tensor& x, const Tensor& labels, const Tensor& log_sum, const Tensor& dloss, Tensor& dx)>
      backward;
};

SIMCLR_API extern const Slot<SoftmaxXentKernels> softmax_xent_slot;

}  // namespace simclr::kernels
