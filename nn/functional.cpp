#include <simclr/core/parameter_memory.h>
#include <simclr/kernels/batchnorm.h>
#include <simclr/kernels/elementwise.h>
#include <simclr/kernels/gemm.h>
#include <simclr/kernels/similarity.h>
#include <simclr/nn/functional.h>

namespace simclr::nn {
namespace {

/// A parameter as the kernels want it beside activations x: f32 parameters lend bf16 activations their shadow.
Tensor beside(const Tensor& x, const Tensor& parameter) {
  return x.dtype() == DType::bf16 && parameter.dtype() == DType::f32 ? shadow(parameter) : parameter.detach();
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  return record("add", {a, b}, kernels::add(a, b), [](Backward& bw) {
    bw.set(0, bw.dy());
    bw.set(1, bw.dy());
  });
}

Tensor multiply(const Tensor& a, const Tensor& b) {
  return record("multiply", {a, b}, kernels::multiply(a, b), {a, b}, [a = a.detach(), b = b.detach()](Backward& bw) {
    if (bw.needs(0)) bw.set(0, kernels::multiply(bw.dy(), b));
    if (bw.needs(1)) bw.set(1, kernels::multiply(bw.dy(), a));
  });
}

Tensor scale(const Tensor& x, double factor) {
  return record("scale", {x}, kernels::scale(x, factor),
                [factor](Backward& bw) { bw.set(0, kernels::scale(bw.dy(), factor)); });
}

Tensor relu(const Tensor& x) {
  const Tensor y = kernels::relu_forward(x);
  return record("relu", {x}, y, {y}, [y = y.detach()](Backward& bw) { bw.set(0, kernels::relu_backward(bw.dy(), y)); });
}

Tensor sum(const Tensor& x) {
  return record("sum", {x}, kernels::sum(x), [shape = x.shape(), dtype = x.dtype()](Backward& bw) {
    // dy for every element, without the host's knowing it.
    const Tensor zeros = Tensor::zeros({shape.numel(), 1}, dtype, bw.dy().device());
    bw.set(0, kernels::add_bias(zeros, bw.dy().reshape({1})).reshape(shape));
  });
}

Tensor mean(const Tensor& x) {
  SIMCLR_CHECK(x.numel() > 0, "mean: of no elements");
  return scale(sum(x), 1.0 / static_cast<double>(x.numel()));
}

Tensor normalize(const Tensor& x) {
  const kernels::Normalized forward = kernels::normalize_forward(x);
  return record("normalize", {x}, forward.u, {forward.u},
                [saved = kernels::Normalized{forward.u.detach(), forward.norm}](Backward& bw) {
                  bw.set(0, kernels::normalize_backward(bw.dy(), saved));
                });
}

Tensor matmul(const Tensor& a, const Tensor& b) {
  SIMCLR_CHECK(a.rank() == 2 && b.rank() == 2, "matmul: wants two matrices, got ", describe(a), " and ", describe(b));
  Tensor y = Tensor::empty({a.dim(0), b.dim(1)}, a.dtype(), a.device());
  kernels::gemm(a, b, y);
  return record("matmul", {a, b}, y, {a, b}, [a = a.detach(), b = b.detach()](Backward& bw) {
    if (bw.needs(0)) {
      Tensor da = bw.buffer(0);
      kernels::gemm(bw.dy(), b, da, {.transpose_b = true});
      bw.set(0, da);
    }
    if (bw.needs(1)) {
      Tensor db = bw.buffer(1);
      kernels::gemm(a, bw.dy(), db, {.transpose_a = true});
      bw.set(1, db);
    }
  });
}

Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias) {
  SIMCLR_CHECK(x.rank() == 2 && w.rank() == 2 && x.dim(1) == w.dim(1), "linear: input ", describe(x),
               " does not fit weights ", describe(w), "; the last dimensions must be equal");
  Tensor y = Tensor::empty({x.dim(0), w.dim(0)}, x.dtype(), x.device());
  const Tensor operand = beside(x, w);
  kernels::gemm(x, operand, y, {.transpose_b = true});
  y = record("linear", {x, w}, y, {x, operand}, [x = x.detach(), w = operand](Backward& bw) {
    if (bw.needs(0)) {
      Tensor dx = bw.buffer(0);
      kernels::gemm(bw.dy(), w, dx);
      bw.set(0, dx);
    }
    if (bw.needs(1)) {
      Tensor dw = bw.buffer(1);
      kernels::gemm(bw.dy(), x, dw, {.transpose_a = true});
      bw.set(1, dw);
    }
  });
  return bias.defined() ? add_bias(y, bias) : y;
}

Tensor add_bias(const Tensor& x, const Tensor& bias) {
  return record("add_bias", {x, bias}, kernels::add_bias(x, bias), [](Backward& bw) {
    bw.set(0, bw.dy());
    if (bw.needs(1)) {
      Tensor dbias = bw.buffer(1);
      kernels::bias_backward(bw.dy(), dbias);
      bw.set(1, dbias);
    }
  });
}

Tensor conv2d(const Tensor& x, const Tensor& w, const kernels::Conv2dGeometry& geometry) {
  const Tensor operand = beside(x, w);
  return record("conv2d", {x, w}, kernels::conv2d_forward(x, operand, geometry), {x, operand},
                [x = x.detach(), w = operand, geometry](Backward& bw) {
                  if (bw.needs(0)) bw.set(0, kernels::conv2d_backward_data(bw.dy(), w, x.shape(), geometry));
                  if (bw.needs(1)) {
                    Tensor dw = bw.buffer(1);
                    kernels::conv2d_backward_weights(x, bw.dy(), dw, geometry);
                    bw.set(1, dw);
                  }
                });
}

Tensor batchnorm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                 const Tensor& running_var, const Tensor& residual, const BatchNormOptions& options) {
  SIMCLR_CHECK(x.rank() >= 2, "batchnorm: wants [...,C] with at least two dimensions, got ", describe(x));
  SIMCLR_CHECK(options.training || (running_mean.defined() && running_var.defined()),
               "batchnorm: evaluation needs running statistics");
  const std::int64_t count = x.dim(-1) == 0 ? 0 : x.numel() / x.dim(-1);
  const kernels::BatchnormStatistics statistics =
      options.training ? kernels::batchnorm_finalize(kernels::batchnorm_sums(x), count, gamma.dtype(), options.eps,
                                                     options.momentum, running_mean, running_var)
                       : kernels::batchnorm_from_running(running_mean, running_var, options.eps);
  const Tensor y = kernels::batchnorm_apply(x, statistics, gamma, beta, residual, options.relu);
  kernels::BatchnormSaved saved{x.detach(), gamma.detach(), beta.detach(), statistics, {}, options.relu};
  if (options.relu && residual.defined()) saved.y = y.detach();
  return record("batchnorm", {x, gamma, beta, residual}, y, {x, gamma, beta, saved.y},
                [saved, count, training = options.training](Backward& bw) {
                  Tensor dgamma = bw.buffer(1);
                  Tensor dbeta = bw.buffer(2);
                  const bool split = bw.needs(3) && saved.relu;  // the residual's gradient is dy behind the mask
                  Tensor masked = split ? bw.over_dy() : Tensor();
                  kernels::batchnorm_backward_sums(bw.dy(), saved, dgamma, dbeta, masked);
                  const Tensor& g = split ? masked : bw.dy();
                  if (bw.needs(0)) {
                    Tensor dx = bw.needs(3) ? Tensor() : bw.over_dy();
                    bw.set(0, kernels::batchnorm_backward_data(g, split, saved, dgamma, dbeta, count, training, dx));
                  }
                  bw.set(1, dgamma);
                  bw.set(2, dbeta);
                  bw.set(3, g);
                });
}

Tensor max_pool(const Tensor& x, const kernels::MaxPoolGeometry& geometry) {
  const kernels::MaxPoolResult forward = kernels::max_pool_forward(x, geometry);
  return record("max_pool", {x}, forward.y, [argmax = forward.argmax, shape = x.shape(), geometry](Backward& bw) {
    bw.set(0, kernels::max_pool_backward(bw.dy(), argmax, shape, geometry));
  });
}

Tensor global_average_pool(const Tensor& x) {
  return record("global_average_pool", {x}, kernels::global_average_pool_forward(x), [shape = x.shape()](Backward& bw) {
    bw.set(0, kernels::global_average_pool_backward(bw.dy(), shape));
  });
}

Tensor similarity(const Tensor& a, const Tensor& b, double temperature) {
  return record("similarity", {a, b}, kernels::similarity_forward(a, b, temperature), {a, b},
                [a = a.detach(), b = b.detach(), temperature](Backward& bw) {
                  const auto gradient = kernels::similarity_backward(bw.dy(), a, b, temperature);
                  bw.set(0, gradient.da);
                  bw.set(1, gradient.db);
                });
}

}  // namespace simclr::nn
