// Elementwise functions on a GPU. x of any shape, [...,C] for a bias or a row [C], [N,D] for normalize:
//   multiply, scale, relu and its gradient, add_bias, multiply_rows: one pass
//   bias_backward: dbias_c = sum over the rows of dy_c;  sum: the same over everything
//   normalize: u = x / |x|, 0 for rows of norm 0;  dx = (du - (du.u) u) / |x|
// Backward needs y for relu, u and |x| for normalize, nothing else. Sums are f64, in an order that the sizes alone
// decide.
// Launch: 16 bytes a thread for one pass (cuda/map.h). Sums take two kernels: blocks of 256 threads add up 512 rows of
// 32 columns, or 8192 elements, then one kernel adds the blocks up in order. A warp a row for normalize, four a block.
// Tests: tests/device/test_elementwise.cpp compares with the CPU in f64; tests/test_elementwise.cpp has the plain loops
// (reference).
#include <simclr/kernels/cuda/map.h>
#include <simclr/kernels/cuda/warp.h>
#include <simclr/kernels/elementwise.h>
#include <simclr/kernels/shared/elementwise.h>

namespace simclr::kernels {
namespace {

using namespace gpu;

template <class T>
struct Multiply {
  const T *a, *b;
  T* y;
  template <int N>
  __device__ void at(std::int64_t i) const {
    const Pack<N> x = load<N>(a + i), z = load<N>(b + i);
    Pack<N> product;
#pragma unroll
    for (int k = 0; k < N; ++k) product[k] = x[k] * z[k];
    store<N>(y + i, product);
  }
};

template <class T>
struct Scale {
  const T* x;
  T* y;
  float factor;
  template <int N>
  __device__ void at(std::int64_t i) const {
    Pack<N> value = load<N>(x + i);
#pragma unroll
    for (int k = 0; k < N; ++k) value[k] *= factor;
    store<N>(y + i, value);
  }
};

template <class T>
struct Relu {
  const T* x;
  T* y;
  template <int N>
  __device__ void at(std::int64_t i) const {
    Pack<N> value = load<N>(x + i);
#pragma unroll
    for (int k = 0; k < N; ++k) value[k] = relu(value[k]);
    store<N>(y + i, value);
  }
};

template <class T>
struct ReluBackward {
  const T *dy, *y;
  T* dx;
  template <int N>
  __device__ void at(std::int64_t i) const {
    Pack<N> gradient = load<N>(dy + i);
    const Pack<N> output = load<N>(y + i);
#pragma unroll
    for (int k = 0; k < N; ++k) gradient[k] = relu_gradient(gradient[k], output[k]);
    store<N>(dx + i, gradient);
  }
};

/// y = value op row's value of the same column, op a sum or a product.
template <class T, bool product>
struct WithRow {
  const T* x;
  const float* row;
  T* y;
  std::int64_t channels;
  template <int N>
  __device__ void at(std::int64_t i) const {
    Pack<N> value = load<N>(x + i);
    const auto c = static_cast<int>(i % channels);  // N values of one row: channels is a multiple of N
#pragma unroll
    for (int k = 0; k < N; ++k) value[k] = product ? value[k] * row[c + k] : value[k] + row[c + k];
    store<N>(y + i, value);
  }
};

constexpr int sum_threads = 256;
constexpr std::int64_t sum_rows = 512;  // rows that one block of bias_partial_kernel adds up

/// partial[block][c] = the sum of `sum_rows` rows of column c. Threads of a warp take neighbouring columns; the block's
/// warps take every eighth row.
template <class T>
__global__ void __launch_bounds__(sum_threads)
    bias_partial_kernel(const T* dy, std::int64_t rows, int channels, double* partial) {
  constexpr int warps = sum_threads / 32;
  SIMCLR_SHARED(double, sums, [warps][32]);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = lane_index();
  const int c = static_cast<int>(blockIdx.y) * 32 + lane;
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.x) * sum_rows;
  const std::int64_t end = begin + sum_rows < rows ? begin + sum_rows : rows;
  // 1 each thread: its column over every eighth row
  double sum = 0;
  if (c < channels) {
    for (std::int64_t row = begin + warp; row < end; row += warps) {
      sum += static_cast<double>(widen(dy[row * channels + c]));
    }
  }
  // 2 the warps' sums, in order
  sums[warp][lane] = sum;
  __syncthreads();
  if (warp == 0 && c < channels) {
    for (int w = 1; w < warps; ++w) sum += sums[w][lane];
    partial[static_cast<std::int64_t>(blockIdx.x) * channels + c] = sum;
  }
}

__global__ void __launch_bounds__(sum_threads)
    bias_sum_kernel(const double* partial, std::int64_t blocks, int channels, float* dbias) {
  const int c = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (c >= channels) return;
  double sum = 0;
  for (std::int64_t b = 0; b < blocks; ++b) sum += partial[b * channels + c];
  dbias[c] = static_cast<float>(sum);
}

constexpr std::int64_t sum_elements = 8192;  // that one block of sum_partial_kernel adds up

template <class T>
__global__ void __launch_bounds__(sum_threads) sum_partial_kernel(const T* x, std::int64_t n, double* partial) {
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.x) * sum_elements;
  const std::int64_t end = begin + sum_elements < n ? begin + sum_elements : n;
  double sum = 0;
  for (std::int64_t i = begin + threadIdx.x; i < end; i += sum_threads) sum += static_cast<double>(widen(x[i]));
  sum = block_sum<sum_threads>(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(sum_threads) sum_kernel(const double* partial, std::int64_t n, float* y) {
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < n; i += sum_threads) sum += partial[i];
  sum = block_sum<sum_threads>(sum);
  if (threadIdx.x == 0) *y = static_cast<float>(sum);
}

constexpr int row_threads = 128;  // four rows a block

template <class T>
__global__ void __launch_bounds__(row_threads)
    normalize_forward_kernel(const T* x, std::int64_t rows, std::int64_t width, T* u, float* norm) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * (row_threads / 32) + threadIdx.x / 32;
  const bool inside = row < rows;  // the whole warp
  // 1 |x|, in f64
  double squares = 0;
  for (std::int64_t i = lane_index(); inside && i < width; i += 32) {
    const auto value = static_cast<double>(widen(x[row * width + i]));
    squares += value * value;
  }
  const double length = sqrt(warp_sum(squares));
  if (!inside) return;
  // 2 u
  for (std::int64_t i = lane_index(); i < width; i += 32) {
    const auto value = static_cast<double>(widen(x[row * width + i]));
    u[row * width + i] = narrow_to<T>(length == 0 ? 0.0f : static_cast<float>(value / length));
  }
  if (lane_index() == 0) norm[row] = static_cast<float>(length);
}

template <class T>
__global__ void __launch_bounds__(row_threads) normalize_backward_kernel(const T* du, const T* u, const float* norm,
                                                                         std::int64_t rows, std::int64_t width, T* dx) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * (row_threads / 32) + threadIdx.x / 32;
  const bool inside = row < rows;
  // 1 du.u
  double dot = 0;
  for (std::int64_t i = lane_index(); inside && i < width; i += 32) {
    dot += static_cast<double>(widen(du[row * width + i])) * static_cast<double>(widen(u[row * width + i]));
  }
  dot = warp_sum(dot);
  if (!inside) return;
  // 2 what of du is along the sphere
  const auto length = static_cast<double>(norm[row]);
  for (std::int64_t i = lane_index(); i < width; i += 32) {
    const auto gradient = static_cast<double>(widen(du[row * width + i]));
    const auto unit = static_cast<double>(widen(u[row * width + i]));
    const double through = length == 0 ? closed(gradient) : normalize_gradient(gradient, unit, dot, length);
    dx[row * width + i] = narrow_to<T>(static_cast<float>(through));
  }
}

// Launchers.

template <class T, class F>
void map_over(const Tensor& y, bool aligned, const F& f) {
  map<vector_width<T>>(y.device(), y.numel(), aligned, f);
}

void multiply_gpu(const Tensor& a, const Tensor& b, Tensor& y) {
  dispatch_float(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Multiply<T> f{a.data<T>(), b.data<T>(), y.data<T>()};
    map_over<T>(y, aligned16(f.a, f.b, f.y), f);
  });
}

void scale_gpu(const Tensor& x, double factor, Tensor& y) {
  dispatch_float(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Scale<T> f{x.data<T>(), y.data<T>(), static_cast<float>(factor)};
    map_over<T>(y, aligned16(f.x, f.y), f);
  });
}

void relu_forward_gpu(const Tensor& x, Tensor& y) {
  dispatch_float(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Relu<T> f{x.data<T>(), y.data<T>()};
    map_over<T>(y, aligned16(f.x, f.y), f);
  });
}

void relu_backward_gpu(const Tensor& dy, const Tensor& y, Tensor& dx) {
  dispatch_float(dx.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const ReluBackward<T> f{dy.data<T>(), y.data<T>(), dx.data<T>()};
    map_over<T>(dx, aligned16(f.dy, f.y, f.dx), f);
  });
}

template <bool product>
void with_row_gpu(const Tensor& x, const Tensor& row, Tensor& y) {
  dispatch_float(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const WithRow<T, product> f{x.data<T>(), row.data<float>(), y.data<T>(), x.dim(-1)};
    map_over<T>(y, f.channels % vector_width<T> == 0 && aligned16(f.x, f.y), f);
  });
}

void bias_backward_gpu(const Tensor& dy, Tensor& dbias) {
  const std::int64_t channels = dbias.numel();
  if (channels == 0) return;
  const std::int64_t rows = dy.numel() / channels, blocks = (rows + sum_rows - 1) / sum_rows;
  const Device device = dy.device();
  const Tensor partial = Tensor::empty({blocks, channels}, DType::f64, device);
  const auto columns = static_cast<int>(channels);
  dispatch_float(dy.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch("bias_partial_kernel", device, {dim3(blocks_for(rows, sum_rows), blocks_for(channels, 32)), sum_threads},
           bias_partial_kernel<T>, dy.data<T>(), rows, columns, partial.data<double>());
  });
  launch("bias_sum_kernel", device, {blocks_for(channels, sum_threads), sum_threads}, bias_sum_kernel,
         partial.data<double>(), blocks, columns, dbias.data<float>());
}

void sum_gpu(const Tensor& x, Tensor& y) {
  const std::int64_t n = x.numel(), blocks = (n + sum_elements - 1) / sum_elements;
  const Tensor partial = Tensor::empty({blocks}, DType::f64, x.device());
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch("sum_partial_kernel", x.device(), {blocks_for(n, sum_elements), sum_threads}, sum_partial_kernel<T>,
           x.data<T>(), n, partial.data<double>());
  });
  launch("sum_kernel", x.device(), {1, sum_threads}, sum_kernel, partial.data<double>(), blocks, y.data<float>());
}

void normalize_forward_gpu(const Tensor& x, Tensor& u, Tensor& norm) {
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch("normalize_forward_kernel", x.device(), {blocks_for(x.dim(0), row_threads / 32), row_threads},
           normalize_forward_kernel<T>, x.data<T>(), x.dim(0), x.dim(1), u.data<T>(), norm.data<float>());
  });
}

void normalize_backward_gpu(const Tensor& du, const Normalized& forward, Tensor& dx) {
  dispatch_float(du.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch("normalize_backward_kernel", du.device(), {blocks_for(du.dim(0), row_threads / 32), row_threads},
           normalize_backward_kernel<T>, du.data<T>(), forward.u.data<T>(), forward.norm.data<float>(), du.dim(0),
           du.dim(1), dx.data<T>());
  });
}

}  // namespace

extern const ElementwiseKernels SIMCLR_KERNELS(elementwise);
const ElementwiseKernels SIMCLR_KERNELS(elementwise) = {
    multiply_gpu,       scale_gpu,         relu_forward_gpu, relu_backward_gpu,     with_row_gpu<false>,
    with_row_gpu<true>, bias_backward_gpu, sum_gpu,          normalize_forward_gpu, normalize_backward_gpu};

}  // namespace simclr::kernels
