// GELU on the CPU: one pass; the maths is in the header. f64 by the C library's erfc, f32 by loops of its own.
#include <simclr/core/parallel.h>
#include <simclr/kernels/gelu.h>
#include <simclr/kernels/shared/check.h>
#include <simclr/kernels/shared/gelu.h>

#include "cpu/gelu.h"

namespace simclr::kernels {
namespace {

constexpr std::int64_t f32_grain = items_a_piece({.flop = 50}), f64_grain = items_a_piece({.flop = 500});  // elements

void forward_cpu(const Tensor& x_tensor, Tensor& y_tensor) {
  const std::int64_t n = x_tensor.numel();
  if (x_tensor.dtype() == DType::f32) {
    const float* x = x_tensor.data<float>();
    float* y = y_tensor.data<float>();
    return parallel_for(n, f32_grain, [=](std::int64_t begin, std::int64_t end) {
      gelu_loops().forward(end - begin, x + begin, y + begin);
    });
  }
  const double* x = x_tensor.data<double>();
  double* y = y_tensor.data<double>();
  parallel_for(n, f64_grain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) y[i] = x[i] * cumulative(x[i]);
  });
}

void backward_cpu(const Tensor& dy_tensor, const Tensor& x_tensor, Tensor& dx_tensor) {
  const std::int64_t n = x_tensor.numel();
  if (x_tensor.dtype() == DType::f32) {
    const float *dy = dy_tensor.data<float>(), *x = x_tensor.data<float>();
    float* dx = dx_tensor.data<float>();
    return parallel_for(n, f32_grain, [=](std::int64_t begin, std::int64_t end) {
      gelu_loops().backward(end - begin, dy + begin, x + begin, dx + begin);
    });
  }
  const double *dy = dy_tensor.data<double>(), *x = x_tensor.data<double>();
  double* dx = dx_tensor.data<double>();
  parallel_for(n, f64_grain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) dx[i] = dy[i] * (cumulative(x[i]) + x[i] * density(x[i]));
  });
}

}  // namespace

extern const GeluKernels gelu_cpu;
const GeluKernels gelu_cpu = {forward_cpu, backward_cpu};

Tensor gelu_forward(const Tensor& x) {
  check_floats("gelu_forward", x);
  Tensor y = Tensor::empty_like(x);
  gelu_slot.on(x.device()).forward(x, y);
  return y;
}

Tensor gelu_backward(const Tensor& dy, const Tensor& x) {
  check_floats("gelu_backward", dy, x);
  check_shape("gelu_backward", "x", x, dy.shape());
  Tensor dx = Tensor::empty_like(dy);
  gelu_slot.on(dy.device()).backward(dy, x, dx);
  return dx;
}

}  // namespace simclr::kernels
