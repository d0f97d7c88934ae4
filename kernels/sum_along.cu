// Sums along a dimension on a GPU, x as [outer,n,inner]:
//   forward: y_ok = sum_i x_oik;  backward: dx_oik = dy_ok
// Backward needs nothing. Sums are f64, in an order that the sizes alone decide; sums of bf16 are f32. Where outer is 1
// the public function takes elementwise.h's bias_backward(), which cuts n into parts.
// Launch: with inner 1 a block a sum, one warp for n up to 1024, eight for more. Else a block of 256 threads for 32
// neighbouring sums: each of its warps takes every eighth of the n. Backward is one pass (cuda/map.h). Tests:
// tests/device/test_sum_along.cpp compares with the CPU in f64; tests/test_sum_along.cpp has the plain loops.
#include <simclr/kernels/cuda/map.h>
#include <simclr/kernels/cuda/warp.h>
#include <simclr/kernels/sum_along.h>

namespace simclr::kernels {
namespace {

using namespace gpu;

template <int threads, class T>
__global__ void __launch_bounds__(threads) sum_rows_kernel(const T* x, std::int64_t n, float* y) {
  const T* row = x + blockIdx.x * n;
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < n; i += threads) sum += static_cast<double>(widen(row[i]));
  sum = block_sum<threads>(sum);
  if (threadIdx.x == 0) y[blockIdx.x] = static_cast<float>(sum);
}

constexpr int middle_threads = 256;

/// Blocks are counted along inner first: `across` of them for each of the outer.
template <class T>
__global__ void __launch_bounds__(middle_threads)
    sum_middle_kernel(const T* x, std::int64_t n, std::int64_t inner, std::int64_t across, float* y) {
  constexpr int warps = middle_threads / 32;
  SIMCLR_SHARED(double, sums, [warps][32]);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = lane_index();
  const std::int64_t o = blockIdx.x / across, k = blockIdx.x % across * 32 + lane;
  // 1 each thread: its sum over every eighth
  double sum = 0;
  if (k < inner) {
    for (std::int64_t i = warp; i < n; i += warps) sum += static_cast<double>(widen(x[(o * n + i) * inner + k]));
  }
  // 2 the warps' sums, in order
  sums[warp][lane] = sum;
  __syncthreads();
  if (warp == 0 && k < inner) {
    for (int w = 1; w < warps; ++w) sum += sums[w][lane];
    y[o * inner + k] = static_cast<float>(sum);
  }
}

template <class T>
struct Spread {
  const float* dy;
  T* dx;
  std::int64_t n, inner;
  template <int N>
  __device__ void at(std::int64_t i) const {  // N values of one row: inner is a multiple of N, or 1 and n is one
    const std::int64_t row = i / inner, k = i - row * inner;
    const float* from = dy + row / n * inner + k;
    const int step = inner == 1 ? 0 : 1;
    Pack<N> value;
#pragma unroll
    for (int v = 0; v < N; ++v) value[v] = from[v * step];
    store<N>(dx + i, value);
  }
};

// Launchers.

void sum_gpu(const Tensor& x, const Along& along, Tensor& y) {
  constexpr std::int64_t longest_warp_sum = 1024;
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* from = x.data<T>();
    float* to = y.data<float>();
    if (along.inner > 1) {
      const std::int64_t across = (along.inner + 31) / 32;
      launch("sum_middle_kernel", x.device(), {blocks_for(along.outer * across, 1), middle_threads},
             sum_middle_kernel<T>, from, along.n, along.inner, across, to);
    } else if (along.n <= longest_warp_sum) {
      launch("sum_rows_kernel", x.device(), {blocks_for(along.outer, 1), 32}, sum_rows_kernel<32, T>, from, along.n,
             to);
    } else {
      launch("sum_rows_kernel", x.device(), {blocks_for(along.outer, 1), 256}, sum_rows_kernel<256, T>, from, along.n,
             to);
    }
  });
}

void spread_gpu(const Tensor& dy, const Along& along, Tensor& dx) {
  dispatch_float(dx.dtype(), [&](auto zero) {
    using T = decltype(zero);
    constexpr int N = vector_width<T>;
    const Spread<T> f{dy.data<float>(), dx.data<T>(), along.n, along.inner};
    const bool whole = along.inner == 1 ? along.n % N == 0 : along.inner % N == 0;
    map<N>(dx.device(), dx.numel(), whole && aligned16(f.dx), f);
  });
}

}  // namespace

extern const SumAlongKernels SIMCLR_KERNELS(sum_along);
const SumAlongKernels SIMCLR_KERNELS(sum_along) = {sum_gpu, spread_gpu};

}  // namespace simclr::kernels
