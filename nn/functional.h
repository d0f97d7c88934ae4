#pragma once

#include <simclr/core/autograd.h>
#include <simclr/kernels/conv2d.h>
#include <simclr/kernels/pool.h>

/// The differentiable functions, one for each op. Formulas, shapes and errors are those of the contract in kernels/OP.h
/// (elementwise.h, gemm.h, conv2d.h, batchnorm.h, pool.h, similarity.h): Error for tensors that do not fit each other.
/// Every tensor of a call has the same floating dtype and device, but weights and biases may be f32 beside bf16.
namespace simclr::nn {

/// a + b, same shapes.
SIMCLR_API Tensor add(const Tensor& a, const Tensor& b);
/// a * b elementwise, same shapes.
SIMCLR_API Tensor multiply(const Tensor& a, const Tensor& b);
/// factor x.
SIMCLR_API Tensor scale(const Tensor& x, double factor);
SIMCLR_API Tensor relu(const Tensor& x);
/// The sum of all elements, a scalar.
SIMCLR_API Tensor sum(const Tensor& x);
/// The mean of all elements, a scalar. Throws Error where there are none.
SIMCLR_API Tensor mean(const Tensor& x);
/// x / |x| for each row of x [N,D].
SIMCLR_API Tensor normalize(const Tensor& x);

/// a [M,K] times b [K,N].
SIMCLR_API Tensor matmul(const Tensor& a, const Tensor& b);
/// x [N,I] times w [O,I] transposed, plus bias [O] where defined: [N,O].
SIMCLR_API Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias = {});
/// x [...,C] + bias [C].
SIMCLR_API Tensor add_bias(const Tensor& x, const Tensor& bias);
/// x [N,H,W,C], w [O,K,L,C].
SIMCLR_API Tensor conv2d(const Tensor& x, const Tensor& w, const kernels::Conv2dGeometry& geometry = {});

struct BatchNormOptions {
  bool training = true;  // statistics of the batch; false: the running ones
  double eps = 1e-5;
  double momentum = 0.1;
  bool relu = false;
};
/// act(batchnorm(x) [+ residual]), x [...,C]. Training moves running_mean and running_var [C] where defined.
SIMCLR_API Tensor batchnorm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                            const Tensor& running_var, const Tensor& residual, const BatchNormOptions& options);

SIMCLR_API Tensor max_pool(const Tensor& x, const kernels::MaxPoolGeometry& geometry = {});
/// [N,H,W,C] -> [N,C].
SIMCLR_API Tensor global_average_pool(const Tensor& x);

/// Cosine similarities over the temperature: a [A,D], b [M,D] -> [A,M].
SIMCLR_API Tensor similarity(const Tensor& a, const Tensor& b, double temperature = 1.0);

}  // namespace simclr::nn
