#include <simclr/core/parameter_memory.h>
#include <simclr/kernels/batchnorm.h>
#include <simclr/kernels/elementwise.h>
#include <simclr/kernels/gemm.h>
#include <simclr/kernels/similarity.h>
#include <simclr/nn/functional.h>

#include <algorithm>
#include <vector>

namespace simclr::nn {
namespace {

/// A parameter as the kernels want it beside activations x: f32 parameters lend bf16 activations their shadow.
Tensor beside(const Tensor& x, const Tensor& parameter) {
  return x.dtype() == DType::bf16 && parameter.dtype() == DType::f32 ? shadow(parameter) : parameter.detach();
}

/// What conv1d is to conv2d. Clips are [N,T,places,C] with w as K x 1; a sequence, which has one place, is [N,1,T,C]
/// with w as 1 x K: the same bytes, and oneDNN computes blocks of neighbours along the width.
struct OverTime {
  Shape x, w;
  kernels::Conv2dGeometry geometry;
  int time;  // the dimension that is T

  OverTime(const Shape& x_shape, const Shape& w_shape, const Conv1dGeometry& along) {
    const std::int64_t n = x_shape[0], steps = x_shape[1], c = x_shape[-1], out = w_shape[0], kernel = w_shape[1];
    if (x_shape.rank() == 3) {
      x = {n, 1, steps, c}, w = {out, 1, kernel, w_shape[2]}, time = 2;
      geometry = {{1, along.stride}, {0, along.padding}};
      return;
    }
    std::int64_t places = 1;
    for (int i = 2; i < x_shape.rank() - 1; ++i) places *= x_shape[i];
    x = {n, steps, places, c}, w = {out, kernel, 1, w_shape[2]}, time = 1;
    geometry = {{along.stride, 1}, {along.padding, 0}};
  }
};

/// What batch norm's statistics are taken of: the rows of x, and of the other ranks' x where there are some.
struct BatchSums {
  std::int64_t count;
  Tensor sums;

  BatchSums(const Tensor& x, World* world) : count(x.dim(-1) == 0 ? 0 : x.numel() / x.dim(-1)) {
    sums = kernels::batchnorm_sums(x);
    if (world == nullptr) return;
    sums = kernels::batchnorm_merge(world->all_gather(sums.reshape({1, 3, x.dim(-1)})), count);
    count *= world->size();
  }
};

/// dgamma and dbeta of all ranks' rows, which dx is made of.
std::pair<Tensor, Tensor> over_ranks(World* world, const Tensor& dgamma, const Tensor& dbeta) {
  if (world == nullptr) return {dgamma, dbeta};
  const std::int64_t channels = dgamma.dim(0);
  const Tensor both = Tensor::empty({2 * channels}, dgamma.dtype(), dgamma.device());
  Tensor all_dgamma = both.narrow(0, channels), all_dbeta = both.narrow(channels, channels);
  all_dgamma.copy_from(dgamma);
  all_dbeta.copy_from(dbeta);
  world->all_reduce(both);
  return {all_dgamma, all_dbeta};
}

}  // namespace

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

Tensor conv1d(const Tensor& x, const Tensor& w, const Conv1dGeometry& geometry) {
  SIMCLR_CHECK(x.defined() && x.rank() >= 3 && w.rank() == 3, "conv1d: wants x [N,T,...,C] and w [O,K,C], got ",
               describe(x), " and ", describe(w));
  const OverTime over(x.shape(), w.shape(), geometry);
  const Tensor seen = x.detach().reshape(over.x), operand = beside(x, w).reshape(over.w);
  const Tensor y = kernels::conv2d_forward(seen, operand, over.geometry);
  std::vector<std::int64_t> shape(x.shape().begin(), x.shape().end());
  shape[1] = y.dim(over.time);
  shape.back() = y.dim(3);
  return record(
      "conv1d", {x, w}, y.reshape(Shape(shape)), {x, operand},
      [seen, operand, conv2d_geometry = over.geometry, x_shape = x.shape(), y_shape = y.shape()](Backward& bw) {
        const Tensor dy = bw.dy().reshape(y_shape);
        if (bw.needs(0)) {
          bw.set(0, kernels::conv2d_backward_data(dy, operand, seen.shape(), conv2d_geometry).reshape(x_shape));
        }
        if (bw.needs(1)) {
          const Tensor dw = bw.buffer(1);
          Tensor as_image = dw.reshape(operand.shape());
          kernels::conv2d_backward_weights(seen, dy, as_image, conv2d_geometry);
          bw.set(1, dw);
        }
      });
}

Tensor batchnorm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                 const Tensor& running_var, const Tensor& residual, const BatchNormOptions& options) {
  SIMCLR_CHECK(x.rank() >= 2, "batchnorm: wants [...,C] with at least two dimensions, got ", describe(x));
  SIMCLR_CHECK(options.training || (running_mean.defined() && running_var.defined()),
               "batchnorm: evaluation needs running statistics");
  World* const world =
      options.training && options.world != nullptr && options.world->size() > 1 ? options.world : nullptr;
  std::int64_t count = 0;
  kernels::BatchnormStatistics statistics;
  if (options.training) {
    const BatchSums batch(x, world);
    count = batch.count;
    statistics = kernels::batchnorm_finalize(batch.sums, count, gamma.dtype(), options.eps, options.momentum,
                                             running_mean, running_var);
  } else {
    statistics = kernels::batchnorm_from_running(running_mean, running_var, options.eps);
  }
  const Tensor y = kernels::batchnorm_apply(x, statistics, gamma, beta, residual, options.relu);
  kernels::BatchnormSaved saved{x.detach(), gamma.detach(), beta.detach(), statistics, {}, options.relu};
  if (options.relu && residual.defined()) saved.y = y.detach();
  return record("batchnorm", {x, gamma, beta, residual}, y, {x, gamma, beta, saved.y},
                [saved, count, world, training = options.training](Backward& bw) {
                  Tensor dgamma = bw.buffer(1);
                  Tensor dbeta = bw.buffer(2);
                  const bool split = bw.needs(3) && saved.relu;  // the residual's gradient is dy behind the mask
                  Tensor masked = split ? bw.over_dy() : Tensor();
                  kernels::batchnorm_backward_sums(bw.dy(), saved, dgamma, dbeta, masked);
                  const Tensor& g = split ? masked : bw.dy();
                  if (bw.needs(0)) {
                    Tensor dx = bw.needs(3) ? Tensor() : bw.over_dy();
                    const auto [sum_gamma, sum_beta] = over_ranks(world, dgamma, dbeta);
                    bw.set(0,
                           kernels::batchnorm_backward_data(g, split, saved, sum_gamma, sum_beta, count, training, dx));
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

GruOutput gru(const Tensor& x, const Tensor& lengths, const std::vector<kernels::GruWeights>& directions) {
  std::vector<Tensor> inputs = {x}, read = {x, lengths};
  std::vector<kernels::GruWeights> operands;
  for (const kernels::GruWeights& w : directions) {
    inputs.insert(inputs.end(), {w.w_ih, w.w_hh, w.b_ih, w.b_hh});
    operands.push_back({beside(x, w.w_ih), beside(x, w.w_hh), w.b_ih.detach(), w.b_hh.detach()});
    read.insert(read.end(), {operands.back().w_ih, operands.back().w_hh, w.b_ih, w.b_hh});
  }
  const bool keep = grad_enabled() && std::any_of(inputs.begin(), inputs.end(),
                                                  [](const Tensor& input) { return input.requires_grad(); });
  const kernels::GruResult forward = kernels::gru_forward(x.detach(), lengths, operands, keep);
  std::vector<Tensor> outputs = {forward.y, forward.last};
  record("gru", inputs, outputs, read, [saved = forward.saved](Backward& bw) {
    kernels::GruGradients gradients;
    if (bw.needs(0)) gradients.dx = bw.buffer(0);
    const int count = static_cast<int>(saved.directions.size());
    for (int i = 0; i < count; ++i) {
      gradients.directions.push_back(
          {bw.buffer(4 * i + 1), bw.buffer(4 * i + 2), bw.buffer(4 * i + 3), bw.buffer(4 * i + 4)});
    }
    kernels::gru_backward(bw.dy(0), bw.dy(1), saved, gradients);
    if (bw.needs(0)) bw.set(0, gradients.dx);
    for (int i = 0; i < count; ++i) {
      const kernels::GruWeights& dw = gradients.directions[static_cast<std::size_t>(i)];
      bw.set(4 * i + 1, dw.w_ih);
      bw.set(4 * i + 2, dw.w_hh);
      bw.set(4 * i + 3, dw.b_ih);
      bw.set(4 * i + 4, dw.b_hh);
    }
  });
  return {outputs[0], outputs[1]};
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
