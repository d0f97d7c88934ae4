// GELU on a GPU. x of any shape, P the normal distribution's cumulative function, p its density:
//   forward: y = x P(x);  backward: dx = dy (P(x) + x p(x))
// Backward needs x. Arithmetic is f32, by erfc, whatever the memory holds.
// Launch: one pass, 16 bytes a thread (cuda/map.h). Tests: tests/device/test_gelu.cpp compares with the CPU in f64;
// tests/test_gelu.cpp has the plain loop.
#include <simclr/kernels/cuda/map.h>
#include <simclr/kernels/gelu.h>
#include <simclr/kernels/shared/gelu.h>

namespace simclr::kernels {
namespace {

using namespace gpu;

template <class T>
struct Forward {
  const T* x;
  T* y;
  template <int N>
  __device__ void at(std::int64_t i) const {
    Pack<N> value = load<N>(x + i);
#pragma unroll
    for (int k = 0; k < N; ++k) value[k] *= cumulative(value[k]);
    store<N>(y + i, value);
  }
};

template <class T>
struct BackwardData {
  const T *dy, *x;
  T* dx;
  template <int N>
  __device__ void at(std::int64_t i) const {
    Pack<N> gradient = load<N>(dy + i);
    const Pack<N> value = load<N>(x + i);
#pragma unroll
    for (int k = 0; k < N; ++k) gradient[k] *= cumulative(value[k]) + value[k] * density(value[k]);
    store<N>(dx + i, gradient);
  }
};

void forward_gpu(const Tensor& x, Tensor& y) {
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Forward<T> f{x.data<T>(), y.data<T>()};
    map<vector_width<T>>(y.device(), y.numel(), aligned16(f.x, f.y), f);
  });
}

void backward_gpu(const Tensor& dy, const Tensor& x, Tensor& dx) {
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const BackwardData<T> f{dy.data<T>(), x.data<T>(), dx.data<T>()};
    map<vector_width<T>>(dx.device(), dx.numel(), aligned16(f.dy, f.x, f.dx), f);
  });
}

}  // namespace

extern const GeluKernels SIMCLR_KERNELS(gelu);
const GeluKernels SIMCLR_KERNELS(gelu) = {forward_gpu, backward_gpu};

}  // namespace simclr::kernels
