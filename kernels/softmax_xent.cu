// Softmax cross-entropy on a GPU. x [N,K], labels [N]:
//   forward:  log_sum = highest + log sum_k e^{x_k - highest},  loss = mean (log_sum - x_label)
//   backward: dx = (e^{x - log_sum} - onehot) dloss / N
// Backward needs x, the labels and log_sum [N] in f64; dloss is read where it is. Exponentials and sums are f64: there
// are N K of them, few beside the encoder that made x.
// Launch: a block a row, one warp for few classes, eight for many; a second kernel of one block adds the rows up in
// order. Tests: tests/device/test_softmax_xent.cpp compares with the CPU in f64; tests/test_softmax_xent.cpp has the
// plain loops (reference).
#include <simclr/kernels/cuda/launch.h>
#include <simclr/kernels/cuda/vector.h>
#include <simclr/kernels/cuda/warp.h>
#include <simclr/kernels/shared/softmax_xent.h>
#include <simclr/kernels/softmax_xent.h>

#include <type_traits>

namespace simclr::kernels {
namespace {

using namespace gpu;

constexpr int mean_threads = 256;

/// loss[row] and, in the backward pass, dx[row] are NaN where the label is outside 0..classes-1.
template <int threads, class T>
__global__ void __launch_bounds__(threads)
    softmax_rows_kernel(const T* x, const std::int32_t* labels, std::int64_t classes, double* log_sum, double* loss) {
  const std::int64_t row = blockIdx.x;
  const T* logits = x + row * classes;
  // 1 the highest logit
  float highest = -INFINITY;
  for (std::int64_t k = threadIdx.x; k < classes; k += threads) {
    const float value = widen(logits[k]);
    highest = value > highest ? value : highest;
  }
  highest = block_max<threads>(highest);
  // 2 the sum of exponentials, which cannot overflow now
  double sum = 0;
  for (std::int64_t k = threadIdx.x; k < classes; k += threads) {
    sum += exp(static_cast<double>(widen(logits[k])) - static_cast<double>(highest));
  }
  sum = block_sum<threads>(sum);
  // 3 the row's loss
  if (threadIdx.x != 0) return;
  const double result = static_cast<double>(highest) + log(sum);
  const std::int32_t label = labels[row];
  log_sum[row] = result;
  loss[row] = label >= 0 && label < classes ? result - static_cast<double>(widen(logits[label])) : NAN;
}

__global__ void __launch_bounds__(mean_threads)
    softmax_mean_kernel(const double* losses, std::int64_t rows, float* loss) {
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < rows; i += mean_threads) sum += losses[i];
  sum = block_sum<mean_threads>(sum);
  if (threadIdx.x == 0) *loss = static_cast<float>(sum / static_cast<double>(rows));
}

template <int threads, class T>
__global__ void __launch_bounds__(threads)
    softmax_backward_kernel(const T* x, const std::int32_t* labels, const double* log_sum, const float* dloss,
                            std::int64_t rows, std::int64_t classes, T* dx) {
  // 1 the row's label, and what its gradient is multiplied with
  const std::int64_t row = blockIdx.x;
  const std::int32_t label = labels[row];
  const bool known = label >= 0 && label < classes;
  const double scale = known ? static_cast<double>(*dloss) / static_cast<double>(rows) : NAN;
  // 2 its classes
  for (std::int64_t k = threadIdx.x; k < classes; k += threads) {
    const double logit = static_cast<double>(widen(x[row * classes + k]));
    const double gradient = softmax_gradient(logit, log_sum[row], k == label, scale);
    dx[row * classes + k] = narrow_to<T>(static_cast<float>(gradient));
  }
}

// Launchers.

/// Calls body(T{}, threads a row).
template <class Body>
void dispatch(const Tensor& x, Body body) {
  dispatch_float(x.dtype(), [&](auto zero) {
    if (x.dim(1) < 512) {
      body(zero, std::integral_constant<int, 32>{});
    } else {
      body(zero, std::integral_constant<int, 256>{});
    }
  });
}

void forward_gpu(const Tensor& x, const Tensor& labels, Tensor& loss, Tensor& log_sum) {
  const std::int64_t rows = x.dim(0), classes = x.dim(1);
  const Tensor losses = Tensor::empty({rows}, DType::f64, x.device());
  dispatch(x, [&](auto zero, auto threads) {
    using T = decltype(zero);
    launch("softmax_rows_kernel", x.device(), {blocks_for(rows, 1), threads}, softmax_rows_kernel<threads, T>,
           x.data<T>(), labels.data<std::int32_t>(), classes, log_sum.data<double>(), losses.data<double>());
  });
  launch("softmax_mean_kernel", x.device(), {1, mean_threads}, softmax_mean_kernel, losses.data<double>(), rows,
         loss.data<float>());
}

void backward_gpu(const Tensor& x, const Tensor& labels, const Tensor& log_sum, const Tensor& dloss, Tensor& dx) {
  const std::int64_t rows = x.dim(0), classes = x.dim(1);
  dispatch(x, [&](auto zero, auto threads) {
    using T = decltype(zero);
    launch("softmax_backward_kernel", x.device(), {blocks_for(rows, 1), threads}, softmax_backward_kernel<threads, T>,
           x.data<T>(), labels.data<std::int32_t>(), log_sum.data<double>(), dloss.data<float>(), rows, classes,
           dx.data<T>());
  });
}

}  // namespace

extern const SoftmaxXentKernels SIMCLR_KERNELS(softmax_xent);
const SoftmaxXentKernels SIMCLR_KERNELS(softmax_xent) = {forward_gpu, backward_gpu};

}  // namespace simclr::kernels
