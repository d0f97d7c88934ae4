// Functions of one value on a GPU: exp, log, sqrt, 1 / x, sigmoid and tanh. x of any shape:
//   forward: y = f(x);  backward: dx = dy f'(x), the formulas in kernels/unary.h
// Backward needs y alone, but of log x alone. Arithmetic is f32 whatever the memory holds.
// Launch: one pass, 16 bytes a thread (cuda/map.h). Tests: tests/device/test_unary.cpp compares with the CPU in f64;
// tests/test_unary.cpp has the plain loops.
#include <simclr/kernels/cuda/map.h>
#include <simclr/kernels/shared/unary.h>

namespace simclr::kernels {
namespace {

using namespace gpu;

template <Unary f, class T>
struct Forward {
  const T* x;
  T* y;
  template <int N>
  __device__ void at(std::int64_t i) const {
    Pack<N> value = load<N>(x + i);
#pragma unroll
    for (int k = 0; k < N; ++k) value[k] = unary<f>(value[k]);
    store<N>(y + i, value);
  }
};

template <Unary f, class T>
struct BackwardData {
  const T *dy, *saved;
  T* dx;
  template <int N>
  __device__ void at(std::int64_t i) const {
    Pack<N> gradient = load<N>(dy + i);
    const Pack<N> value = load<N>(saved + i);
#pragma unroll
    for (int k = 0; k < N; ++k) gradient[k] = unary_gradient<f>(gradient[k], value[k]);
    store<N>(dx + i, gradient);
  }
};

void forward_gpu(Unary function, const Tensor& x, Tensor& y) {
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    dispatch_unary(function, [&](auto constant) {
      const Forward<decltype(constant)::value, T> f{x.data<T>(), y.data<T>()};
      map<vector_width<T>>(y.device(), y.numel(), aligned16(f.x, f.y), f);
    });
  });
}

void backward_gpu(Unary function, const Tensor& dy, const Tensor& saved, Tensor& dx) {
  dispatch_float(dy.dtype(), [&](auto zero) {
    using T = decltype(zero);
    dispatch_unary(function, [&](auto constant) {
      const BackwardData<decltype(constant)::value, T> f{dy.data<T>(), saved.data<T>(), dx.data<T>()};
      map<vector_width<T>>(dx.device(), dx.numel(), aligned16(f.dy, f.saved, f.dx), f);
    });
  });
}

}  // namespace

extern const UnaryKernels SIMCLR_KERNELS(unary);
const UnaryKernels SIMCLR_KERNELS(unary) = {forward_gpu, backward_gpu};

}  // namespace simclr::kernels
