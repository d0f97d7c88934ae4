// Pooling over time on a GPU, channels innermost. x [N,T,C], y [N,C], t < lengths[n]:
//   mean: y = (1 / length) sum of x_t, summed in f32 over short runs and in f64 from there on;  dx_t = dy / length
//   max:  y = max of x_t;  dx_t = dy where t won
// Backward needs the lengths for the mean, the winners for the max.
// Launch: one pass over the output each, 16 bytes of one step's channels a thread (cuda/map.h), which goes down the
// steps in order. Tests: tests/device/test_time_pool.cpp compares with the CPU in f64; tests/test_time_pool.cpp has the
// plain loops.
#include <simclr/kernels/cuda/map.h>
#include <simclr/kernels/shared/data_or_null.h>
#include <simclr/kernels/shared/lengths.h>
#include <simclr/kernels/shared/pool.h>
#include <simclr/kernels/time_pool.h>

#include <limits>

namespace simclr::kernels {
namespace {

using namespace gpu;

template <int N>
__device__ inline Pack<N> filled(float value) {
  Pack<N> pack;
#pragma unroll
  for (int k = 0; k < N; ++k) pack[k] = value;
  return pack;
}

/// Steps as rows of channels.
struct Sequences {
  const std::int32_t* lengths;  // may be null
  std::int64_t steps, channels;
};

template <class T>
struct MeanForward {
  const T* x;
  T* y;
  Sequences of;
  template <int N>
  __device__ void at(std::int64_t i) const {
    constexpr int run = 32;  // steps that are summed in f32
    const std::int64_t n = i / of.channels, c = i - n * of.channels, own = length_of(of.lengths, n, of.steps);
    if (own < 0) return store<N>(y + i, filled<N>(NAN));
    const T* step = x + n * of.steps * of.channels + c;
    double total[N] = {};
    for (std::int64_t t = 0; t < own;) {
      const std::int64_t stop = t + run < own ? t + run : own;
      Pack<N> sum = {};
#pragma unroll 4
      for (; t < stop; ++t) {
        const Pack<N> value = load<N>(step + t * of.channels);
#pragma unroll
        for (int k = 0; k < N; ++k) sum[k] += value[k];
      }
#pragma unroll
      for (int k = 0; k < N; ++k) total[k] += static_cast<double>(sum[k]);
    }
    Pack<N> mean;
    const auto count = static_cast<double>(own > 0 ? own : 1);
#pragma unroll
    for (int k = 0; k < N; ++k) mean[k] = static_cast<float>(total[k] / count);
    store<N>(y + i, mean);
  }
};

/// Where element i of [N,T,C] is.
struct Place {
  std::int64_t n, t, c;
  __device__ Place(std::int64_t i, const Sequences& of) {
    const std::int64_t row = i / of.channels;
    c = i - row * of.channels;
    n = row / of.steps;
    t = row - n * of.steps;
  }
};

template <class T>
struct MeanBackward {
  const T* dy;
  T* dx;
  Sequences of;
  template <int N>
  __device__ void at(std::int64_t i) const {
    const Place at(i, of);
    const std::int64_t own = length_of(of.lengths, at.n, of.steps);
    if (at.t >= own) return store<N>(dx + i, filled<N>(own < 0 ? NAN : 0.0f));
    Pack<N> gradient = load<N>(dy + at.n * of.channels + at.c);
#pragma unroll
    for (int k = 0; k < N; ++k) gradient[k] /= static_cast<float>(own);
    store<N>(dx + i, gradient);
  }
};

template <class T>
struct MaxForward {
  const T* x;
  T* y;
  std::int32_t* argmax;
  Sequences of;
  template <int N>
  __device__ void at(std::int64_t i) const {
    const std::int64_t n = i / of.channels, c = i - n * of.channels, own = length_of(of.lengths, n, of.steps);
    Pack<N> best = filled<N>(own > 0 ? std::numeric_limits<float>::lowest() : own < 0 ? NAN : 0.0f);
    std::int32_t winner[N];
#pragma unroll
    for (int k = 0; k < N; ++k) winner[k] = own > 0 ? 0 : own < 0 ? impossible_winner : no_winner;
    const T* step = x + n * of.steps * of.channels + c;
#pragma unroll 4
    for (std::int64_t t = 0; t < own; ++t) {
      const Pack<N> value = load<N>(step + t * of.channels);
#pragma unroll
      for (int k = 0; k < N; ++k) take_maximum(best[k], winner[k], value[k], static_cast<std::int32_t>(t));
    }
    store<N>(y + i, best);
#pragma unroll
    for (int k = 0; k < N; ++k) argmax[i + k] = winner[k];
  }
};

template <class T>
struct MaxBackward {
  const T* dy;
  const std::int32_t* argmax;
  T* dx;
  Sequences of;
  template <int N>
  __device__ void at(std::int64_t i) const {
    const Place at(i, of);
    const std::int64_t from = at.n * of.channels + at.c;
    Pack<N> gradient = load<N>(dy + from);
#pragma unroll
    for (int k = 0; k < N; ++k) gradient[k] = maximum_gradient(gradient[k], argmax[from + k], at.t);
    store<N>(dx + i, gradient);
  }
};

// Launchers.

Sequences sequences_of(const Tensor& x, const Tensor& lengths) {
  return {lengths_or_null(lengths), x.dim(1), x.dim(2)};
}

/// One pass over `output` [...,C]; vectors where the channels and both addresses allow it.
template <class T, class F>
void map_over(const Tensor& output, const Tensor& other, const F& f) {
  const bool vectors = output.dim(-1) % vector_width<T> == 0 && aligned16(output.data<T>(), other.data<T>());
  map<vector_width<T>>(output.device(), output.numel(), vectors, f);
}

void mean_forward_gpu(const Tensor& x, const Tensor& lengths, Tensor& y) {
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    map_over<T>(y, x, MeanForward<T>{x.data<T>(), y.data<T>(), sequences_of(x, lengths)});
  });
}

void mean_backward_gpu(const Tensor& dy, const Tensor& lengths, Tensor& dx) {
  dispatch_float(dy.dtype(), [&](auto zero) {
    using T = decltype(zero);
    map_over<T>(dx, dy, MeanBackward<T>{dy.data<T>(), dx.data<T>(), sequences_of(dx, lengths)});
  });
}

void max_forward_gpu(const Tensor& x, const Tensor& lengths, Tensor& y, Tensor& argmax) {
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    map_over<T>(y, x, MaxForward<T>{x.data<T>(), y.data<T>(), argmax.data<std::int32_t>(), sequences_of(x, lengths)});
  });
}

void max_backward_gpu(const Tensor& dy, const Tensor& argmax, Tensor& dx) {
  dispatch_float(dy.dtype(), [&](auto zero) {
    using T = decltype(zero);
    map_over<T>(dx, dy,
                MaxBackward<T>{dy.data<T>(), argmax.data<std::int32_t>(), dx.data<T>(), sequences_of(dx, Tensor())});
  });
}

}  // namespace

extern const TimePoolKernels SIMCLR_KERNELS(time_pool);
const TimePoolKernels SIMCLR_KERNELS(time_pool) = {mean_forward_gpu, mean_backward_gpu, max_forward_gpu,
                                                   max_backward_gpu};

}  // namespace simclr::kernels
