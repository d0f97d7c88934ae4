// Pooling on a GPU, channels innermost. x [N,H,W,C], y [N,P,Q,C] or, for the average, [N,C]:
//   max:     y[oh,ow] = max of x[h,w], h in [oh s - p, oh s - p + k), w alike, inside the image
//   average: y = mean over all pixels, summed in f32 over short runs and in f64 from there on
// Backward needs the winners' places for the max, nothing for the average. The max's gathers: each input pixel asks the
// windows that cover it whether it won, and adds up in their order.
// Launch: one pass over the output each, 16 bytes of one pixel's channels a thread (cuda/map.h).
// Tests: tests/device/test_pool.cpp compares with the CPU in f64; tests/test_pool.cpp has the plain loops
// (max_pool_reference, max_pool_backward_reference).
#include <simclr/kernels/cuda/map.h>
#include <simclr/kernels/cuda/rows.h>
#include <simclr/kernels/pool.h>
#include <simclr/kernels/shared/pool.h>

namespace simclr::kernels {
namespace {

using namespace gpu;

/// Unsigned, so that no sum of a position and a padding overflows.
struct Geometry {
  unsigned kernel, stride, padding;
};

struct Size {
  unsigned height, width;
};

using Range = PoolRange<unsigned>;

__device__ inline Range window_of(unsigned out, unsigned size, const Geometry& g) {
  return window(out, size, g.kernel, g.stride, g.padding);
}

__device__ inline Range windows_of(unsigned in, unsigned windows, const Geometry& g) {
  return windows_over(in, windows, g.kernel, g.stride, g.padding);
}

/// Where element i of [N,H,W,C] is.
struct Place {
  std::int64_t image;
  unsigned h, w;
  int channel;

  __device__ Place(std::int64_t i, const Size& size, int channels) {
    const std::int64_t pixel = i / channels, pixels = static_cast<std::int64_t>(size.height) * size.width;
    image = pixel / pixels;
    const auto inside = static_cast<unsigned>(pixel - image * pixels);
    channel = static_cast<int>(i - pixel * channels);
    h = inside / size.width;
    w = inside - h * size.width;
  }
};

/// argmax of N channels.
template <int N>
struct alignas(N * 4 < 16 ? N * 4 : 16) Winners {
  std::int32_t place[N];
};

template <class T>
struct MaxForward {
  const T* x;
  T* y;
  std::int32_t* argmax;
  Size in, out;
  int channels;
  Geometry geometry;

  template <int N>
  __device__ void at(std::int64_t i) const {
    // 1 the window, and its first pixel as the best so far
    const Place to(i, out, channels);
    const Range over_h = window_of(to.h, in.height, geometry), over_w = window_of(to.w, in.width, geometry);
    const T* image = x + to.image * in.height * in.width * channels + to.channel;
    unsigned place = over_h.begin * in.width + over_w.begin;
    Pack<N> best = load<N>(image + static_cast<std::int64_t>(place) * channels);
    Winners<N> winner;
#pragma unroll
    for (int k = 0; k < N; ++k) winner.place[k] = static_cast<std::int32_t>(place);
    // 2 all its pixels, in their order
    for (unsigned h = over_h.begin; h < over_h.end; ++h) {
#pragma unroll 3
      for (unsigned w = over_w.begin; w < over_w.end; ++w) {
        place = h * in.width + w;
        const Pack<N> value = load<N>(image + static_cast<std::int64_t>(place) * channels);
#pragma unroll
        for (int k = 0; k < N; ++k) {
          take_maximum(best[k], winner.place[k], value[k], static_cast<std::int32_t>(place));
        }
      }
    }
    store<N>(y + i, best);
    *reinterpret_cast<Winners<N>*>(argmax + i) = winner;
  }
};

template <class T>
struct MaxBackward {
  const T* dy;
  const std::int32_t* argmax;
  T* dx;
  Size in, out;
  int channels;
  Geometry geometry;

  template <int N>
  __device__ void at(std::int64_t i) const {
    // 1 the windows over this pixel
    const Place from(i, in, channels);
    const Range over_h = windows_of(from.h, out.height, geometry), over_w = windows_of(from.w, out.width, geometry);
    const auto me = static_cast<std::int32_t>(from.h * in.width + from.w);
    Pack<N> sum = {};
    // 2 the gradients of those that it won
    for (unsigned h = over_h.begin; h < over_h.end; ++h) {
#pragma unroll 2
      for (unsigned w = over_w.begin; w < over_w.end; ++w) {
        const std::int64_t pixel = from.image * out.height * out.width + h * out.width + w;
        const std::int64_t at = pixel * channels + from.channel;
        const auto winner = *reinterpret_cast<const Winners<N>*>(argmax + at);
        const Pack<N> gradient = load<N>(dy + at);
#pragma unroll
        for (int k = 0; k < N; ++k) sum[k] += winner.place[k] == me ? gradient[k] : 0.0f;
      }
    }
    store<N>(dx + i, sum);
  }
};

template <class T>
struct AverageForward {
  const T* x;
  T* y;
  std::int64_t pixels, channels;
  double inverse;  // 1 / pixels

  template <int N>
  __device__ void at(std::int64_t i) const {
    // 1 these channels' values in the image
    constexpr std::int64_t run = 32;  // pixels that are summed in f32
    const std::int64_t image = i / channels, end = (image + 1) * pixels * channels;
    std::int64_t pixel = image * pixels * channels + (i - image * channels);
    // 2 their sum, run by run
    double total[N] = {};
    while (pixel < end) {
      const std::int64_t stop = pixel + run * channels;
      Pack<N> sum = {};
      pixel = for_rows(pixel, stop < end ? stop : end, channels, [&](auto count, std::int64_t at) {
        constexpr int rows = decltype(count)::value;
        Pack<N> value[rows];
#pragma unroll
        for (int r = 0; r < rows; ++r) value[r] = load<N>(x + at + r * channels);
#pragma unroll
        for (int r = 0; r < rows; ++r) {
#pragma unroll
          for (int k = 0; k < N; ++k) sum[k] += value[r][k];
        }
      });
#pragma unroll
      for (int k = 0; k < N; ++k) total[k] += static_cast<double>(sum[k]);
    }
    // 3 the mean
    Pack<N> mean;
#pragma unroll
    for (int k = 0; k < N; ++k) mean[k] = static_cast<float>(total[k] * inverse);
    store<N>(y + i, mean);
  }
};

template <class T>
struct AverageBackward {
  const T* dy;
  T* dx;
  std::int64_t pixels, channels;
  float inverse;

  template <int N>
  __device__ void at(std::int64_t i) const {
    const std::int64_t pixel = i / channels, image = pixel / pixels;
    Pack<N> gradient = load<N>(dy + image * channels + (i - pixel * channels));
#pragma unroll
    for (int k = 0; k < N; ++k) gradient[k] *= inverse;
    store<N>(dx + i, gradient);
  }
};

// Launchers.

/// Over `output`, in 16 bytes where channels and addresses allow it.
template <class T, class F, class... Pointers>
void map_over(const Tensor& output, const F& f, const Pointers*... pointers) {
  const bool aligned = f.channels % vector_width<T> == 0 && aligned16(pointers...);
  map<vector_width<T>>(output.device(), output.numel(), aligned, f);
}

Size size_of(const Tensor& images) {
  return {static_cast<unsigned>(images.dim(1)), static_cast<unsigned>(images.dim(2))};
}

Geometry unsigned_of(const MaxPoolGeometry& g) {
  return {static_cast<unsigned>(g.kernel), static_cast<unsigned>(g.stride), static_cast<unsigned>(g.padding)};
}

void max_forward_gpu(const Tensor& x, const MaxPoolGeometry& geometry, Tensor& y, Tensor& argmax) {
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const MaxForward<T> f{x.data<T>(),          y.data<T>(), argmax.data<std::int32_t>(),
                          size_of(x),           size_of(y),  static_cast<int>(x.dim(3)),
                          unsigned_of(geometry)};
    map_over<T>(y, f, f.x, f.y, f.argmax);
  });
}

void max_backward_gpu(const Tensor& dy, const Tensor& argmax, const MaxPoolGeometry& geometry, Tensor& dx) {
  dispatch_float(dy.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const MaxBackward<T> f{dy.data<T>(), argmax.data<std::int32_t>(), dx.data<T>(),         size_of(dx),
                           size_of(dy),  static_cast<int>(dy.dim(3)), unsigned_of(geometry)};
    map_over<T>(dx, f, f.dy, f.argmax, f.dx);
  });
}

void global_average_forward_gpu(const Tensor& x, Tensor& y) {
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t pixels = x.dim(1) * x.dim(2);
    const AverageForward<T> f{x.data<T>(), y.data<T>(), pixels, x.dim(3), 1.0 / static_cast<double>(pixels)};
    map_over<T>(y, f, f.x, f.y);
  });
}

void global_average_backward_gpu(const Tensor& dy, Tensor& dx) {
  dispatch_float(dy.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t pixels = dx.dim(1) * dx.dim(2);
    const AverageBackward<T> f{dy.data<T>(), dx.data<T>(), pixels, dx.dim(3), 1.0f / static_cast<float>(pixels)};
    map_over<T>(dx, f, f.dy, f.dx);
  });
}

}  // namespace

extern const PoolKernels SIMCLR_KERNELS(pool);
const PoolKernels SIMCLR_KERNELS(pool) = {max_forward_gpu, max_backward_gpu, global_average_forward_gpu,
                                          global_average_backward_gpu};

}  // namespace simclr::kernels
