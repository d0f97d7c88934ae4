// Softmax on a GPU, of each row of x [R,C]:
//   forward:  y = e^{x - m} / sum e^{x - m}, m the row's maximum;  backward: dx = y (dy - sum dy y)
// Backward needs y. Exponentials are f32, a row's sums f64, in an order that the width alone decides.
// Launch: a block a row, one warp for up to 1024 columns, eight for more; a row comes from memory once, then from the
// nearest cache. Tests: tests/device/test_softmax.cpp compares with the CPU in f64; tests/test_softmax.cpp has the
// plain loops (reference).
#include <simclr/kernels/cuda/launch.h>
#include <simclr/kernels/cuda/vector.h>
#include <simclr/kernels/cuda/warp.h>
#include <simclr/kernels/softmax.h>

#include <type_traits>

namespace simclr::kernels {
namespace {

using namespace gpu;

template <int threads, class T>
__global__ void __launch_bounds__(threads) softmax_forward_kernel(const T* x, std::int64_t width, T* y) {
  const T* from = x + blockIdx.x * width;
  T* to = y + blockIdx.x * width;
  // 1 the highest value; a NaN is none
  float highest = -INFINITY;
  for (std::int64_t i = threadIdx.x; i < width; i += threads) {
    const float value = widen(from[i]);
    highest = value > highest ? value : highest;
  }
  highest = block_max<threads>(highest);
  // 2 the sum of exponentials, which cannot overflow now
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < width; i += threads)
    sum += static_cast<double>(expf(widen(from[i]) - highest));
  const auto scale = static_cast<float>(1.0 / block_sum<threads>(sum));
  // 3 y
  for (std::int64_t i = threadIdx.x; i < width; i += threads) {
    to[i] = narrow_to<T>(expf(widen(from[i]) - highest) * scale);
  }
}

template <int threads, class T>
__global__ void __launch_bounds__(threads) softmax_gradient_kernel(const T* dy, const T* y, std::int64_t width, T* dx) {
  const std::int64_t first = blockIdx.x * width;
  // 1 the mean of dy, weighted by y
  double dot = 0;
  for (std::int64_t i = threadIdx.x; i < width; i += threads) {
    dot += static_cast<double>(widen(dy[first + i])) * static_cast<double>(widen(y[first + i]));
  }
  const auto mean = static_cast<float>(block_sum<threads>(dot));
  // 2 dx
  for (std::int64_t i = threadIdx.x; i < width; i += threads) {
    dx[first + i] = narrow_to<T>(widen(y[first + i]) * (widen(dy[first + i]) - mean));
  }
}

// Launchers.

/// Calls body(T{}, threads a row).
template <class Body>
void dispatch(const Tensor& x, Body body) {
  constexpr std::int64_t widest_warp_row = 1024;
  dispatch_float(x.dtype(), [&](auto zero) {
    if (x.dim(-1) <= widest_warp_row) {
      body(zero, std::integral_constant<int, 32>());
    } else {
      body(zero, std::integral_constant<int, 256>());
    }
  });
}

void forward_gpu(const Tensor& x, Tensor& y) {
  dispatch(x, [&](auto zero, auto threads) {
    using T = decltype(zero);
    const std::int64_t width = x.dim(-1);
    launch("softmax_forward_kernel", x.device(), {blocks_for(x.numel(), width), threads()},
           softmax_forward_kernel<threads(), T>, x.data<T>(), width, y.data<T>());
  });
}

void backward_gpu(const Tensor& dy, const Tensor& y, Tensor& dx) {
  dispatch(dy, [&](auto zero, auto threads) {
    using T = decltype(zero);
    const std::int64_t width = dy.dim(-1);
    launch("softmax_gradient_kernel", dy.device(), {blocks_for(dy.numel(), width), threads()},
           softmax_gradient_kernel<threads(), T>, dy.data<T>(), y.data<T>(), width, dx.data<T>());
  });
}

}  // namespace

extern const SoftmaxKernels SIMCLR_KERNELS(softmax);
const SoftmaxKernels SIMCLR_KERNELS(softmax) = {forward_gpu, backward_gpu};

}  // namespace simclr::kernels
