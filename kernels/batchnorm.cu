// Batch normalisation on a GPU. x [rows,C]; per channel
//   y = act((x - mean) scale + beta [+ residual]),  scale = gamma rstd
// and backward, with g = dy where y > 0 (dy without ReLU) and xhat = (x - mean) rstd
//   dbeta = sum g,  dgamma = sum g xhat
//   dx = scale (g - dbeta / count - xhat dgamma / count)   (training)
//   dx = scale g                                            (evaluation)
// Backward needs x, mean, rstd, gamma and beta; of y the signs, which are computed again from x where y is not kept.
// Launch: four kernels walk over [rows,C] (cuda/rows.h), 256 threads a block, move each byte once and are bound by
// that: a thread keeps 16 bytes of channels, hence their coefficients in registers, and goes down the rows. The sums of
// blocks are added up in order by a small kernel. What there is to do for C channels alone takes a thread a channel, in
// f64 (shared/batchnorm.h). Tests: tests/device/test_batchnorm.cpp compares with the CPU in f64;
// tests/test_batchnorm.cpp has the plain loops (struct Reference).
#include <simclr/kernels/batchnorm.h>
#include <simclr/kernels/cuda/rows.h>
#include <simclr/kernels/shared/batchnorm.h>
#include <simclr/kernels/shared/data_or_null.h>
#include <simclr/kernels/shared/elementwise.h>

namespace simclr::kernels {
namespace {

using namespace gpu;

// Blocks that a multiprocessor runs at once: as many as leave each thread the registers for its loads.
constexpr int sums_resident = 4, apply_resident = 3, backward_resident = 2;

/// What the values of a channel have in common.
struct Parameters {
  const float *mean, *rstd, *gamma, *beta;
};

template <int N>
struct Coefficients {
  Pack<N> mean, scale, beta;

  __device__ Coefficients(const Parameters& from, int channel) {
#pragma unroll
    for (int k = 0; k < N; ++k) {
      mean[k] = from.mean[channel + k];
      scale[k] = from.gamma[channel + k] * from.rstd[channel + k];
      beta[k] = from.beta[channel + k];
    }
  }

  /// Before residual and ReLU. Fused by name: left to the compiler, the signs of forward and backward pass may differ.
  __device__ float affine(float x, int k) const {
    return fmaf(x - mean[k], scale[k], beta[k]);
  }
};

// Forward.

/// Of x - shift and its square, the shift being row 0.
template <int N, class T>
__global__ void __launch_bounds__(walk_threads, sums_resident)
    batchnorm_sums_kernel(Walk walk, const T* x, double* partial) {
  // 1 this thread's channels, and their shift
  const Share<N> share(walk);
  const Pack<N> shift = load<N>(x + share.channel);
  // 2 down the rows, some of them on their way at once; sum_rows adds up the block
  sum_rows(walk, share, partial, [&](auto count, std::int64_t i, Pack<2 * N>& total) {
    constexpr int rows = decltype(count)::value;
    Pack<N> value[rows];
#pragma unroll
    for (int r = 0; r < rows; ++r) value[r] = load<N>(x + i + r * share.step);
#pragma unroll
    for (int r = 0; r < rows; ++r) {
#pragma unroll
      for (int k = 0; k < N; ++k) {
        const float d = value[r][k] - shift[k];
        total[k] += d;
        total[N + k] = fmaf(d, d, total[N + k]);
      }
    }
  });
}

template <class T>
__global__ void __launch_bounds__(walk_threads)
    batchnorm_add_sums_kernel(const T* x, const double* partial, std::int64_t blocks, int channels, double* sums) {
  // 1 all blocks' sums of eight channels
  const Sums total = add_up(partial, blocks, channels);
  // 2 one thread a channel writes them, with their shift
  const int c = added_channel(channels);
  if (c < 0) return;
  sums[c] = blocks > 0 ? static_cast<double>(widen(x[c])) : 0.0;
  sums[channels + c] = total.first;
  sums[2 * channels + c] = total.second;
}

__global__ void __launch_bounds__(walk_threads)
    batchnorm_merge_kernel(const double* sums_of_parts, int parts, double count, int channels, double* sums) {
  const int c = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (c >= channels) return;
  const BatchnormMoments all = merged_moments(sums_of_parts, parts, count, channels, c);
  sums[c] = all.shift, sums[channels + c] = all.sum, sums[2 * channels + c] = all.squares;
}

/// running_mean and running_var may be null.
__global__ void __launch_bounds__(walk_threads)
    batchnorm_finalize_kernel(const double* sums, double count, double eps, double momentum, int channels, float* mean,
                              float* rstd, float* running_mean, float* running_var) {
  const int c = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (c >= channels) return;
  finalize(moments_of(sums, channels, c), count, eps, momentum, mean + c, rstd + c,
           running_mean != nullptr ? running_mean + c : nullptr, running_var != nullptr ? running_var + c : nullptr);
}

__global__ void __launch_bounds__(walk_threads)
    batchnorm_from_running_kernel(const float* running_mean, const float* running_var, double eps, int channels,
                                  float* mean, float* rstd) {
  const int c = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (c >= channels) return;
  mean[c] = running_mean[c];
  rstd[c] = reciprocal_deviation<float>(static_cast<double>(running_var[c]), eps);
}

template <int N, bool with_residual, class T>
__global__ void __launch_bounds__(walk_threads, apply_resident)
    batchnorm_apply_kernel(Walk walk, Parameters parameters, const T* x, const T* residual, bool rectified, T* y) {
  // 1 this thread's channels, and their coefficients
  const Share<N> share(walk);
  const Coefficients<N> coefficients(parameters, share.channel);
  // 2 down the rows: all loads of a few rows, then their values
  for_rows(share.index, share.end, share.step, [&](auto count, std::int64_t i) {
    constexpr int rows = decltype(count)::value;
    Pack<N> value[rows];
    [[maybe_unused]] Pack<N> added[rows];
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      value[r] = load<N>(x + i + r * share.step);
      if constexpr (with_residual) added[r] = load<N>(residual + i + r * share.step);
    }
#pragma unroll
    for (int r = 0; r < rows; ++r) {
#pragma unroll
      for (int k = 0; k < N; ++k) {
        float result = coefficients.affine(value[r][k], k);
        if constexpr (with_residual) result += added[r][k];
        value[r][k] = rectified ? relu(result) : result;
      }
      store<N>(y + i + r * share.step, value[r]);
    }
  });
}

// Backward.

/// What the ReLU's mask is read off.
enum class Mask { none, y, x };

template <class T>
struct Saved {
  const T *x, *y;
};

/// Some rows of x, and the gradient behind the ReLU.
template <int rows, int N>
struct Gradients {
  Pack<N> x[rows], g[rows];

  template <Mask mask, class T>
  __device__ void read(const T* dy, const Saved<T>& saved, const Coefficients<N>& coefficients, std::int64_t i,
                       std::int64_t step) {
    [[maybe_unused]] Pack<N> y[rows];
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      g[r] = load<N>(dy + i + r * step);
      x[r] = load<N>(saved.x + i + r * step);
      if constexpr (mask == Mask::y) y[r] = load<N>(saved.y + i + r * step);
    }
#pragma unroll
    for (int r = 0; r < rows; ++r) {
#pragma unroll
      for (int k = 0; k < N; ++k) {
        if constexpr (mask == Mask::y) g[r][k] = relu_gradient(g[r][k], y[r][k]);
        if constexpr (mask == Mask::x) g[r][k] = relu_gradient(g[r][k], coefficients.affine(x[r][k], k));
      }
    }
  }
};

/// Of g and g (x - mean). Writes g over `masked` where that is not null.
template <int N, Mask mask, class T>
__global__ void __launch_bounds__(walk_threads, backward_resident)
    batchnorm_backward_sums_kernel(Walk walk, Parameters parameters, const T* dy, Saved<T> saved, T* masked,
                                   double* partial) {
  // 1 this thread's channels, and their coefficients
  const Share<N> share(walk);
  const Coefficients<N> coefficients(parameters, share.channel);
  // 2 down the rows: the gradient behind the ReLU, kept where asked for; sum_rows adds up the block
  sum_rows(walk, share, partial, [&](auto count, std::int64_t i, Pack<2 * N>& total) {
    constexpr int rows = decltype(count)::value;
    Gradients<rows, N> at;
    at.template read<mask>(dy, saved, coefficients, i, share.step);
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      if (masked != nullptr) store<N>(masked + i + r * share.step, at.g[r]);
#pragma unroll
      for (int k = 0; k < N; ++k) {
        total[k] += at.g[r][k];
        total[N + k] = fmaf(at.g[r][k], at.x[r][k] - coefficients.mean[k], total[N + k]);
      }
    }
  });
}

__global__ void __launch_bounds__(walk_threads)
    batchnorm_add_gradients_kernel(const double* partial, std::int64_t blocks, int channels, const float* rstd,
                                   float* dgamma, float* dbeta) {
  // 1 all blocks' sums of eight channels
  const Sums total = add_up(partial, blocks, channels);
  // 2 one thread a channel writes what follows
  const int c = added_channel(channels);
  if (c < 0) return;
  const BatchnormGradients<float> of = parameter_gradients(total.first, total.second, rstd[c]);
  dgamma[c] = of.dgamma, dbeta[c] = of.dbeta;
}

/// dx = scale g + (x - mean) slope + constant in training; in evaluation dgamma is null.
template <int N, Mask mask, class T>
__global__ void __launch_bounds__(walk_threads, backward_resident)
    batchnorm_backward_data_kernel(Walk walk, Parameters parameters, const T* dy, Saved<T> saved, const float* dgamma,
                                   const float* dbeta, float rows_counted, T* dx) {
  // 1 this thread's channels, and their coefficients
  const Share<N> share(walk);
  const Coefficients<N> coefficients(parameters, share.channel);
  const bool training = dgamma != nullptr;
  Pack<N> slope = {}, constant = {};
  if (training) {
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const int c = share.channel + k;
      const auto line = training_line(coefficients.scale[k], parameters.rstd[c], dgamma[c], dbeta[c], rows_counted);
      slope[k] = line.slope, constant[k] = line.constant;
    }
  }
  // 2 down the rows: the gradient behind the ReLU, then dx
  for_rows(share.index, share.end, share.step, [&](auto number, std::int64_t i) {
    constexpr int rows = decltype(number)::value;
    Gradients<rows, N> at;
    at.template read<mask>(dy, saved, coefficients, i, share.step);
#pragma unroll
    for (int r = 0; r < rows; ++r) {
#pragma unroll
      for (int k = 0; k < N; ++k) {
        const float along = training ? fmaf(at.x[r][k] - coefficients.mean[k], slope[k], constant[k]) : 0.0f;
        at.g[r][k] = fmaf(coefficients.scale[k], at.g[r][k], along);
      }
      store<N>(dx + i + r * share.step, at.g[r]);
    }
  });
}

// Launchers.

/// Calls body(T{}, width): 16 bytes of channels where these and the addresses allow it, else one channel a thread.
template <class Body, class... Tensors>
void dispatch_width(const Tensor& x, Body body, const Tensors&... others) {
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto address = [](const Tensor& t) { return t.defined() ? t.template data<T>() : nullptr; };
    if (x.dim(-1) % vector_width<T> == 0 && aligned16(address(x), address(others)...)) {
      body(zero, std::integral_constant<int, vector_width<T>>{});
    } else {
      body(zero, std::integral_constant<int, 1>{});
    }
  });
}

template <class Body>
void dispatch_mask(bool masked_already, const BatchnormSaved& saved, Body body) {
  if (!saved.relu || masked_already) return body(std::integral_constant<Mask, Mask::none>{});
  if (saved.y.defined()) return body(std::integral_constant<Mask, Mask::y>{});
  body(std::integral_constant<Mask, Mask::x>{});
}

Parameters parameters_of(const BatchnormStatistics& statistics, const Tensor& gamma, const Tensor& beta) {
  return {statistics.mean.data<float>(), statistics.rstd.data<float>(), gamma.data<float>(), beta.data<float>()};
}

void sums_gpu(const Tensor& x, Tensor& sums) {
  const auto channels = static_cast<int>(x.dim(-1));
  dispatch_width(x, [&](auto zero, auto width) {
    using T = decltype(zero);
    constexpr int N = decltype(width)::value;
    const WalkPlan p = plan_walk(x, N, sums_resident);
    const Tensor partial = partial_sums(x, p);
    launch("batchnorm_sums_kernel", x.device(), p.shape, batchnorm_sums_kernel<N, T>, p.walk, x.data<T>(),
           partial.data<double>());
    launch("batchnorm_add_sums_kernel", x.device(), {blocks_for(channels, add_up_channels), walk_threads},
           batchnorm_add_sums_kernel<T>, x.data<T>(), partial.data<double>(), partial.dim(0), channels,
           sums.data<double>());
  });
}

void merge_gpu(const Tensor& parts, std::int64_t count, Tensor& sums) {
  const auto channels = static_cast<int>(sums.dim(1));
  launch("batchnorm_merge_kernel", sums.device(), {blocks_for(channels, walk_threads), walk_threads},
         batchnorm_merge_kernel, parts.data<double>(), static_cast<int>(parts.dim(0)), static_cast<double>(count),
         channels, sums.data<double>());
}

void finalize_gpu(const Tensor& sums, std::int64_t count, double eps, double momentum, BatchnormStatistics& statistics,
                  Tensor& running_mean, Tensor& running_var) {
  const auto channels = static_cast<int>(sums.dim(1));
  launch("batchnorm_finalize_kernel", sums.device(), {blocks_for(channels, walk_threads), walk_threads},
         batchnorm_finalize_kernel, sums.data<double>(), static_cast<double>(count), eps, momentum, channels,
         statistics.mean.data<float>(), statistics.rstd.data<float>(), data_or_null<float>(running_mean),
         data_or_null<float>(running_var));
}

void from_running_gpu(const Tensor& running_mean, const Tensor& running_var, double eps,
                      BatchnormStatistics& statistics) {
  const auto channels = static_cast<int>(running_mean.numel());
  launch("batchnorm_from_running_kernel", running_mean.device(), {blocks_for(channels, walk_threads), walk_threads},
         batchnorm_from_running_kernel, running_mean.data<float>(), running_var.data<float>(), eps, channels,
         statistics.mean.data<float>(), statistics.rstd.data<float>());
}

void apply_gpu(const Tensor& x, const BatchnormStatistics& statistics, const Tensor& gamma, const Tensor& beta,
               const Tensor& residual, bool relu, Tensor& y) {
  dispatch_width(
      x,
      [&](auto zero, auto width) {
        using T = decltype(zero);
        constexpr int N = decltype(width)::value;
        const WalkPlan p = plan_walk(x, N, apply_resident);
        launch("batchnorm_apply_kernel", x.device(), p.shape,
               residual.defined() ? batchnorm_apply_kernel<N, true, T> : batchnorm_apply_kernel<N, false, T>, p.walk,
               parameters_of(statistics, gamma, beta), x.data<T>(), data_or_null<T>(residual), relu, y.data<T>());
      },
      residual, y);
}

void backward_sums_gpu(const Tensor& dy, const BatchnormSaved& saved, Tensor& dgamma, Tensor& dbeta, Tensor& masked) {
  const auto channels = static_cast<int>(dy.dim(-1));
  const Parameters parameters = parameters_of(saved.statistics, saved.gamma, saved.beta);
  dispatch_width(
      dy,
      [&](auto zero, auto width) {
        using T = decltype(zero);
        constexpr int N = decltype(width)::value;
        const WalkPlan p = plan_walk(dy, N, backward_resident);
        const Tensor partial = partial_sums(dy, p);
        dispatch_mask(false, saved, [&](auto mask) {
          launch("batchnorm_backward_sums_kernel", dy.device(), p.shape,
                 batchnorm_backward_sums_kernel<N, decltype(mask)::value, T>, p.walk, parameters, dy.data<T>(),
                 Saved<T>{saved.x.data<T>(), data_or_null<T>(saved.y)}, data_or_null<T>(masked),
                 partial.data<double>());
        });
        launch("batchnorm_add_gradients_kernel", dy.device(), {blocks_for(channels, add_up_channels), walk_threads},
               batchnorm_add_gradients_kernel, partial.data<double>(), partial.dim(0), channels, parameters.rstd,
               dgamma.data<float>(), dbeta.data<float>());
      },
      saved.x, saved.y, masked);
}

void backward_data_gpu(const Tensor& dy, bool masked_already, const BatchnormSaved& saved, const Tensor& dgamma,
                       const Tensor& dbeta, std::int64_t count, bool training, Tensor& dx) {
  dispatch_width(
      dy,
      [&](auto zero, auto width) {
        using T = decltype(zero);
        constexpr int N = decltype(width)::value;
        const WalkPlan p = plan_walk(dy, N, backward_resident);
        dispatch_mask(masked_already, saved, [&](auto mask) {
          launch("batchnorm_backward_data_kernel", dy.device(), p.shape,
                 batchnorm_backward_data_kernel<N, decltype(mask)::value, T>, p.walk,
                 parameters_of(saved.statistics, saved.gamma, saved.beta), dy.data<T>(),
                 Saved<T>{saved.x.data<T>(), data_or_null<T>(saved.y)}, training ? dgamma.data<float>() : nullptr,
                 training ? dbeta.data<float>() : nullptr, static_cast<float>(count), dx.data<T>());
        });
      },
      saved.x, saved.y, dx);
}

}  // namespace

extern const BatchnormKernels SIMCLR_KERNELS(batchnorm);
const BatchnormKernels SIMCLR_KERNELS(batchnorm) = {sums_gpu,  merge_gpu,         finalize_gpu,     from_running_gpu,
                                                    apply_gpu, backward_sums_gpu, backward_data_gpu};

}  // namespace simclr::kernels
