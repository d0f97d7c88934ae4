// fill, add, copy and cast on a GPU, for tensors of any shape: y = value, y = a + b, y = x, y = x rounded to y's dtype.
// Launch: one pass at the memory's speed, for add 16 bytes a thread where addresses allow it (cuda/map.h), for fill and
// cast an element a thread; copies are the runtime's.
// Tests: tests/device/test_elementwise.cpp ("primitives: fill, copy, cast and add") compares with the CPU to the bit.
#include <simclr/core/primitives.h>
#include <simclr/kernels/cuda/launch.h>
#include <simclr/kernels/cuda/map.h>
#include <simclr/kernels/shared/convert.h>

namespace simclr {
namespace {

using namespace gpu;

template <class T>
struct Fill {
  T* y;
  T value;
  __device__ void operator()(std::int64_t i) const { y[i] = value; }
};

template <class T>
struct Add {
  const T *a, *b;
  T* y;
  template <int N>
  __device__ void at(std::int64_t i) const {
    const Pack<N> x = load<N>(a + i), z = load<N>(b + i);
    Pack<N> sum;
#pragma unroll
    for (int k = 0; k < N; ++k) sum[k] = x[k] + z[k];
    store<N>(y + i, sum);
  }
};

template <class To, class From>
struct Cast {
  const From* x;
  To* y;
  __device__ void operator()(std::int64_t i) const {
    const From value = x[i];
    if constexpr (sizeof(From) == 8 && sizeof(To) == 8) {
      y[i] = value;
    } else if constexpr (std::is_same_v<To, BFloat16>) {
      y[i] = narrow_to<BFloat16>(static_cast<float>(number(value)));
    } else if constexpr (std::is_integral_v<To>) {
      y[i] = to_whole<To>(static_cast<double>(number(value)));
    } else {
      y[i] = static_cast<To>(number(value));
    }
  }
  template <class T>
  __device__ static T number(T value) {
    return value;
  }
  __device__ static float number(BFloat16 value) { return widen(value); }
};

template <class F>
__global__ void __launch_bounds__(map_threads) each_kernel(std::int64_t n, F f) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step) f(i);
}

template <class F>
void each(Device device, std::int64_t n, const F& f) {
  launch("each_kernel", device, {blocks_for(n, map_threads, 32 * multiprocessors(device)), map_threads}, each_kernel<F>,
         n, f);
}

void fill_gpu(Tensor& y, double value) {
  if (value == 0.0 && !std::signbit(value)) return fill_bytes(y.device(), y.raw_data(), 0, y.bytes());
  dispatch_dtype(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    each(y.device(), y.numel(), Fill<T>{y.data<T>(), convert<T>(value)});
  });
}

void add_gpu(const Tensor& a, const Tensor& b, Tensor& y) {
  gpu::dispatch_float(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Add<T> f{a.data<T>(), b.data<T>(), y.data<T>()};
    map<vector_width<T>>(y.device(), y.numel(), aligned16(f.a, f.b, f.y), f);
  });
}

void copy_gpu(const Tensor& x, Tensor& y) {
  copy_bytes(y.device(), y.raw_data(), x.device(), x.raw_data(), y.bytes());
}

void cast_gpu(const Tensor& x, Tensor& y) {
  dispatch_dtype(x.dtype(), [&](auto from_zero) {
    dispatch_dtype(y.dtype(), [&](auto to_zero) {
      using From = decltype(from_zero);
      using To = decltype(to_zero);
      each(y.device(), y.numel(), Cast<To, From>{x.data<From>(), y.data<To>()});
    });
  });
}

}  // namespace

extern const PrimitivesKernels SIMCLR_KERNELS(primitives);
const PrimitivesKernels SIMCLR_KERNELS(primitives) = {fill_gpu, add_gpu, copy_gpu, cast_gpu};

}  // namespace simclr
