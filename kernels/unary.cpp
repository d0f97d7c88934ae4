// Functions of one value on the CPU: one pass. f64 by the C library, f32 by loops of its own where that is slow.
#include <simclr/core/parallel.h>
#include <simclr/kernels/shared/check.h>
#include <simclr/kernels/shared/unary.h>

#include "cpu/unary.h"

namespace simclr::kernels {
namespace {

constexpr std::int64_t loop_grain = items_a_piece({.flop = 30}), library_grain = items_a_piece({.flop = 500}),
                       gradient_grain = items_a_piece({.bytes = 12});  // elements

/// Loops over values, where f has such.
UnaryLoops::Loop* loop_of(Unary f) {
  switch (f) {
    case Unary::exp: return unary_loops().exp;
    case Unary::log: return unary_loops().log;
    case Unary::sigmoid: return unary_loops().sigmoid;
    case Unary::tanh: return unary_loops().tanh;
    default: return nullptr;  // an instruction each
  }
}

void forward_cpu(Unary function, const Tensor& x_tensor, Tensor& y_tensor) {
  UnaryLoops::Loop* const loop = x_tensor.dtype() == DType::f32 ? loop_of(function) : nullptr;
  if (loop != nullptr) {
    const float* x = x_tensor.data<float>();
    float* y = y_tensor.data<float>();
    return parallel_for(x_tensor.numel(), loop_grain,
                        [=](std::int64_t begin, std::int64_t end) { loop(end - begin, x + begin, y + begin); });
  }
  dispatch_float(x_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* x = x_tensor.data<T>();
    T* y = y_tensor.data<T>();
    dispatch_unary(function, [&](auto f) {
      parallel_for(x_tensor.numel(), library_grain, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i) y[i] = unary<f()>(x[i]);
      });
    });
  });
}

void backward_cpu(Unary function, const Tensor& dy_tensor, const Tensor& saved_tensor, Tensor& dx_tensor) {
  dispatch_float(dy_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T *dy = dy_tensor.data<T>(), *saved = saved_tensor.data<T>();
    T* dx = dx_tensor.data<T>();
    dispatch_unary(function, [&](auto f) {
      parallel_for(dy_tensor.numel(), gradient_grain, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i) dx[i] = unary_gradient<f()>(dy[i], saved[i]);
      });
    });
  });
}

}  // namespace

extern const UnaryKernels unary_cpu;
const UnaryKernels unary_cpu = {forward_cpu, backward_cpu};

Tensor unary_forward(Unary f, const Tensor& x) {
  check_floats("unary_forward", x);
  Tensor y = Tensor::empty_like(x);
  unary_slot.on(x.device()).forward(f, x, y);
  return y;
}

Tensor unary_backward(Unary f, const Tensor& dy, const Tensor& saved) {
  check_floats("unary_backward", dy, saved);
  check_shape("unary_backward", "saved", saved, dy.shape());
  Tensor dx = Tensor::empty_like(dy);
  unary_slot.on(dy.device()).backward(f, dy, saved, dx);
  return dx;
}

}  // namespace simclr::kernels
