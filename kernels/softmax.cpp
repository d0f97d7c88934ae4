// Softmax on the CPU, a row at a time; the maths is in the header.
#include <simclr/core/parallel.h>
#include <simclr/kernels/shared/check.h>
#include <simclr/kernels/softmax.h>

#include <cmath>
#include <limits>

#include "cpu/unary.h"

namespace simclr::kernels {
namespace {

/// y = e^x for n values; y may be x.
void exp_of(std::int64_t n, const float* x, float* y) {
  unary_loops().exp(n, x, y);
}
void exp_of(std::int64_t n, const double* x, double* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = std::exp(x[i]);
}

/// body(first element) for each row of `width`; `flop` a value.
template <class Body>
void for_rows(const Tensor& x, std::int64_t width, std::int64_t flop, Body body) {
  parallel_for(x.numel() / width, items_a_piece({.flop = flop * width}), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) body(row * width);
  });
}

void forward_cpu(const Tensor& x_tensor, Tensor& y_tensor) {
  dispatch_float(x_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t width = x_tensor.dim(-1);
    const T* x_first = x_tensor.data<T>();
    T* y_first = y_tensor.data<T>();
    for_rows(x_tensor, width, sizeof(T) == 4 ? 40 : 500, [=](std::int64_t first) {
      const T* x = x_first + first;
      T* y = y_first + first;
      T highest = -std::numeric_limits<T>::infinity();
#pragma omp simd reduction(max : highest)
      for (std::int64_t i = 0; i < width; ++i) highest = x[i] > highest ? x[i] : highest;
#pragma omp simd
      for (std::int64_t i = 0; i < width; ++i) y[i] = x[i] - highest;
      exp_of(width, y, y);
      double sum = 0;
#pragma omp simd reduction(+ : sum)
      for (std::int64_t i = 0; i < width; ++i) sum += static_cast<double>(y[i]);
      const T scale = static_cast<T>(1 / sum);
#pragma omp simd
      for (std::int64_t i = 0; i < width; ++i) y[i] *= scale;
    });
  });
}

void backward_cpu(const Tensor& dy_tensor, const Tensor& y_tensor, Tensor& dx_tensor) {
  dispatch_float(dy_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t width = dy_tensor.dim(-1);
    const T *dy_first = dy_tensor.data<T>(), *y_first = y_tensor.data<T>();
    T* dx_first = dx_tensor.data<T>();
    for_rows(dy_tensor, width, 6, [=](std::int64_t first) {
      const T *dy = dy_first + first, *y = y_first + first;
      T* dx = dx_first + first;
      double dot = 0;
#pragma omp simd reduction(+ : dot)
      for (std::int64_t i = 0; i < width; ++i) dot += static_cast<double>(dy[i]) * static_cast<double>(y[i]);
      const T mean = static_cast<T>(dot);  // of dy, weighted by y
#pragma omp simd
      for (std::int64_t i = 0; i < width; ++i) dx[i] = y[i] * (dy[i] - mean);
    });
  });
}

}  // namespace

extern const SoftmaxKernels softmax_cpu;
const SoftmaxKernels softmax_cpu = {forward_cpu, backward_cpu};

Tensor softmax_forward(const Tensor& x) {
  check_floats("softmax_forward", x);
  SIMCLR_CHECK(x.rank() >= 1, "softmax_forward: wants [...,C], got ", describe(x));
  Tensor y = Tensor::empty_like(x);
  if (x.numel() > 0) softmax_slot.on(x.device()).forward(x, y);
  return y;
}

Tensor softmax_backward(const Tensor& dy, const Tensor& y) {
  check_floats("softmax_backward", dy, y);
  SIMCLR_CHECK(dy.rank() >= 1, "softmax_backward: wants [...,C], got ", describe(dy));
  check_shape("softmax_backward", "y", y, dy.shape());
  Tensor dx = Tensor::empty_like(dy);
  if (dy.numel() > 0) softmax_slot.on(dy.device()).backward(dy, y, dx);
  return dx;
}

}  // namespace simclr::kernels
