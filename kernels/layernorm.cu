// Layer normalisation on a GPU. Each row of s = x [+ residual], [R,C]:
//   y = gamma (s - mean) rstd + beta
// and backward, with g = gamma dy and xhat = (s - mean) rstd
//   dx = rstd (g - mean_c(g) - xhat mean_c(g xhat)) [+ ds],  dgamma = sum dy xhat,  dbeta = sum dy
// Backward needs s, mean, rstd and gamma. s is rounded to its dtype before anything is computed of it. Sums of a row
// are f32, the variance's around the mean; those over the rows f32 over short runs, f64 from there on, in order.
// Launch: 16 bytes a lane where the addresses allow it, a row a warp, four warps a block; rows of more than 1024
// channels a block of 256 threads each. A row comes from memory once, then from the nearest cache. dgamma and dbeta
// walk down the rows (cuda/rows.h), then a small kernel adds up the blocks. Tests: tests/device/test_layernorm.cpp
// compares with the CPU in f64; tests/test_layernorm.cpp has the plain loops.
#include <simclr/kernels/cuda/rows.h>
#include <simclr/kernels/layernorm.h>
#include <simclr/kernels/shared/data_or_null.h>

namespace simclr::kernels {
namespace {

using namespace gpu;

constexpr std::int64_t widest_warp_row = 1024;
constexpr int sums_resident = 4;  // blocks that a multiprocessor runs at once

/// One row for `threads` of them, a warp or a block of 256.
template <int threads>
struct Team {
  static constexpr int block = threads == 32 ? 128 : threads;
  static constexpr int rows = block / threads;  // a block

  std::int64_t row;
  int member;

  __device__ Team()
      : row(static_cast<std::int64_t>(blockIdx.x) * rows + threadIdx.x / threads),
        member(static_cast<int>(threadIdx.x) % threads) {}
  __device__ float sum(float value) const { return block_sum<threads>(value); }
};

/// body(c) for each N channels of a row that are this thread's; nothing in a row that is not there.
template <int N, int threads, class Body>
__device__ void for_channels(const Team<threads>& team, std::int64_t rows, std::int64_t width, Body body) {
  if (team.row >= rows) return;
  for (std::int64_t c = team.member * N; c < width; c += threads * N) body(c);
}

/// residual may be null, and s is x where it is.
template <int N, int threads, class T>
__global__ void __launch_bounds__(Team<threads>::block)
    layernorm_forward_kernel(const T* x, const T* residual, const float* gamma, const float* beta, float eps,
                             std::int64_t rows, std::int64_t width, T* s, T* y, float* means, float* rstds) {
  const Team<threads> team;
  const std::int64_t first = team.row * width;
  // 1 the residual sum, and the mean of what is kept of it
  float sum = 0;
  for_channels<N>(team, rows, width, [&](std::int64_t c) {
    Pack<N> value = load<N>(x + first + c);
    if (residual != nullptr) {
      const Pack<N> added = load<N>(residual + first + c);
#pragma unroll
      for (int k = 0; k < N; ++k) value[k] = widen(narrow_to<T>(value[k] + added[k]));
      store<N>(s + first + c, value);
    }
#pragma unroll
    for (int k = 0; k < N; ++k) sum += value[k];
  });
  const float mean = team.sum(sum) / static_cast<float>(width);
  // 2 the variance around it. Each thread reads what it wrote.
  float squares = 0;
  for_channels<N>(team, rows, width, [&](std::int64_t c) {
    const Pack<N> value = load<N>(s + first + c);
#pragma unroll
    for (int k = 0; k < N; ++k) squares = fmaf(value[k] - mean, value[k] - mean, squares);
  });
  const float rstd = 1.0f / sqrtf(team.sum(squares) / static_cast<float>(width) + eps);
  // 3 y
  for_channels<N>(team, rows, width, [&](std::int64_t c) {
    Pack<N> value = load<N>(s + first + c);
#pragma unroll
    for (int k = 0; k < N; ++k) value[k] = fmaf((value[k] - mean) * rstd, gamma[c + k], beta[c + k]);
    store<N>(y + first + c, value);
  });
  if (team.row < rows && team.member == 0) means[team.row] = mean, rstds[team.row] = rstd;
}

/// ds may be null.
template <int N, int threads, class T>
__global__ void __launch_bounds__(Team<threads>::block)
    layernorm_backward_data_kernel(const T* dy, const T* ds, const T* s, const float* gamma, const float* means,
                                   const float* rstds, std::int64_t rows, std::int64_t width, T* dx) {
  const Team<threads> team;
  const std::int64_t first = team.row * width;
  const bool inside = team.row < rows;
  const float mean = inside ? means[team.row] : 0, rstd = inside ? rstds[team.row] : 0;
  // 1 the means of g and of g xhat
  float along = 0, turned = 0;
  for_channels<N>(team, rows, width, [&](std::int64_t c) {
    const Pack<N> gradient = load<N>(dy + first + c), value = load<N>(s + first + c);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const float g = gradient[k] * gamma[c + k];
      along += g;
      turned = fmaf(g, (value[k] - mean) * rstd, turned);
    }
  });
  along = team.sum(along) / static_cast<float>(width);
  turned = team.sum(turned) / static_cast<float>(width);
  // 2 dx
  for_channels<N>(team, rows, width, [&](std::int64_t c) {
    const Pack<N> gradient = load<N>(dy + first + c), value = load<N>(s + first + c);
    Pack<N> out = {};
    if (ds != nullptr) out = load<N>(ds + first + c);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const float xhat = (value[k] - mean) * rstd;
      out[k] += rstd * (gradient[k] * gamma[c + k] - along - xhat * turned);
    }
    store<N>(dx + first + c, out);
  });
}

/// Of dy and dy xhat.
template <int N, class T>
__global__ void __launch_bounds__(walk_threads, sums_resident)
    layernorm_backward_sums_kernel(Walk walk, const T* dy, const T* s, const float* means, const float* rstds,
                                   double* partial) {
  const Share<N> share(walk);
  // Down the rows, which come in order; sum_rows adds up the block.
  std::int64_t row = blockIdx.x * walk.rows_per_block + share.line;
  sum_rows(walk, share, partial, [&](auto count, std::int64_t i, Pack<2 * N>& total) {
    constexpr int at_once = decltype(count)::value;
    Pack<N> gradient[at_once], value[at_once];
#pragma unroll
    for (int r = 0; r < at_once; ++r) {
      gradient[r] = load<N>(dy + i + r * share.step);
      value[r] = load<N>(s + i + r * share.step);
    }
#pragma unroll
    for (int r = 0; r < at_once; ++r, row += walk.lines) {
      const float mean = means[row], rstd = rstds[row];
#pragma unroll
      for (int k = 0; k < N; ++k) {
        total[k] += gradient[r][k];
        total[N + k] = fmaf(gradient[r][k], (value[r][k] - mean) * rstd, total[N + k]);
      }
    }
  });
}

__global__ void __launch_bounds__(walk_threads)
    layernorm_add_gradients_kernel(const double* partial, std::int64_t blocks, int channels, float* dgamma,
                                   float* dbeta) {
  // 1 all blocks' sums of eight channels
  const Sums total = add_up(partial, blocks, channels);
  // 2 one thread a channel writes them
  const int c = added_channel(channels);
  if (c < 0) return;
  dbeta[c] = static_cast<float>(total.first), dgamma[c] = static_cast<float>(total.second);
}

// Launchers.

/// Calls body(T{}, N, threads a row) for rows of x: 16 bytes of channels a thread where these and the addresses of all
/// tensors allow it, else one.
template <class Body, class... Tensors>
void dispatch(const Tensor& x, Body body, const Tensors&... others) {
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t width = x.dim(-1);
    const bool vectors = width % vector_width<T> == 0 && aligned16(x.data<T>(), data_or_null<T>(others)...);
    const auto of_width = [&](auto n) {
      if (width <= widest_warp_row) {
        body(zero, n, std::integral_constant<int, 32>{});
      } else {
        body(zero, n, std::integral_constant<int, 256>{});
      }
    };
    if (vectors) {
      of_width(std::integral_constant<int, vector_width<T>>{});
    } else {
      of_width(std::integral_constant<int, 1>{});
    }
  });
}

template <int threads>
LaunchShape shape_for(std::int64_t rows) {
  return {blocks_for(rows, Team<threads>::rows), Team<threads>::block};
}

void forward_gpu(const Tensor& x, const Tensor& residual, const Tensor& gamma, const Tensor& beta, double eps,
                 LayernormResult& result) {
  const LayernormSaved& saved = result.saved;
  const std::int64_t rows = saved.mean.numel();
  dispatch(
      x,
      [&](auto zero, auto vector, auto team) {
        using T = decltype(zero);
        constexpr int N = decltype(vector)::value, threads = decltype(team)::value;
        launch("layernorm_forward_kernel", x.device(), shape_for<threads>(rows),
               layernorm_forward_kernel<N, threads, T>, x.data<T>(), data_or_null<T>(residual), gamma.data<float>(),
               beta.data<float>(), static_cast<float>(eps), rows, x.dim(-1), saved.s.data<T>(), result.y.data<T>(),
               saved.mean.data<float>(), saved.rstd.data<float>());
      },
      residual, saved.s, result.y);
}

void backward_gpu(const Tensor& dy, const Tensor& ds, const LayernormSaved& saved, const Tensor& gamma, Tensor& dx,
                  Tensor& dgamma, Tensor& dbeta) {
  const std::int64_t rows = saved.mean.numel();
  const float *mean = saved.mean.data<float>(), *rstd = saved.rstd.data<float>();
  const auto channels = static_cast<int>(dy.dim(-1));
  dispatch(
      dy,
      [&](auto zero, auto vector, auto team) {
        using T = decltype(zero);
        constexpr int N = decltype(vector)::value, threads = decltype(team)::value;
        launch("layernorm_backward_data_kernel", dy.device(), shape_for<threads>(rows),
               layernorm_backward_data_kernel<N, threads, T>, dy.data<T>(), data_or_null<T>(ds), saved.s.data<T>(),
               gamma.data<float>(), mean, rstd, rows, dy.dim(-1), dx.data<T>());
        const WalkPlan p = plan_walk(dy, N, sums_resident);
        const Tensor partial = partial_sums(dy, p);
        launch("layernorm_backward_sums_kernel", dy.device(), p.shape, layernorm_backward_sums_kernel<N, T>, p.walk,
               dy.data<T>(), saved.s.data<T>(), mean, rstd, partial.data<double>());
        launch("layernorm_add_gradients_kernel", dy.device(), {blocks_for(channels, add_up_channels), walk_threads},
               layernorm_add_gradients_kernel, partial.data<double>(), partial.dim(0), channels, dgamma.data<float>(),
               dbeta.data<float>());
      },
      ds, saved.s, dx);
}

}  // namespace

extern const LayernormKernels SIMCLR_KERNELS(layernorm);
const LayernormKernels SIMCLR_KERNELS(layernorm) = {forward_gpu, backward_gpu};

}  // namespace simclr::kernels
