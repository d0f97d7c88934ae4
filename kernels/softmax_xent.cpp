// Softmax cross-entropy on the CPU. Each row's sum is taken in double after its maximum is subtracted.
#include <simclr/core/parallel.h>
#include <simclr/kernels/softmax_xent.h>

#include "shared/check.h"
#include "shared/softmax_xent.h"

#include <algorithm>
#include <cmath>

namespace simclr::kernels {
namespace {

std::int64_t rows_a_piece(const Tensor& x) {
  constexpr std::int64_t exponential = 500;  // takes as long as so many FLOP of a product
  return items_a_piece({.flop = exponential * x.dim(1)});
}

void forward(const Tensor& x, const Tensor& labels, Tensor& loss, Tensor& log_sum) {
  const std::int64_t n = x.dim(0), classes = x.dim(1);
  const std::int32_t* label = labels.data<std::int32_t>();
  for (std::int64_t i = 0; i < n; ++i) {
    SIMCLR_CHECK(label[i] >= 0 && label[i] < classes, "softmax_xent: label ", label[i], " in row ", i,
                 " is outside 0..", classes - 1);
  }
  double* sums = log_sum.data<double>();
  double total = 0;
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* logits = x.data<T>();
    parallel_for(n, rows_a_piece(x), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const T* row = logits + i * classes;
        const double highest = *std::max_element(row, row + classes);
        double sum = 0;
        for (std::int64_t k = 0; k < classes; ++k) sum += std::exp(double{row[k]} - highest);
        sums[i] = highest + std::log(sum);
      }
    });
    for (std::int64_t i = 0; i < n; ++i) total += sums[i] - double{logits[i * classes + label[i]]};
  });
  loss.fill(total / static_cast<double>(n));
}

void backward(const Tensor& x, const Tensor& labels, const Tensor& log_sum, const Tensor& dloss, Tensor& dx) {
  const std::int64_t n = x.dim(0), classes = x.dim(1);
  const std::int32_t* label = labels.data<std::int32_t>();
  const double* sums = log_sum.data<double>();
  const double scale = dloss.item() / static_cast<double>(n);
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* logits = x.data<T>();
    T* out = dx.data<T>();
    parallel_for(n, rows_a_piece(x), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const T* row = logits + i * classes;
        T* gradient = out + i * classes;
        for (std::int64_t k = 0; k < classes; ++k) {
          gradient[k] = static_cast<T>(softmax_gradient(double{row[k]}, sums[i], k == label[i], scale));
        }
      }
    });
  });
}

void check_inputs(const Tensor& x, const Tensor& labels) {
  check_floats("softmax_xent", x);
  check_rank("softmax_xent", "x", x, 2);
  SIMCLR_CHECK(x.numel() > 0, "softmax_xent: x is empty, ", x.shape(), "; give at least one row and one class");
  SIMCLR_CHECK(labels.defined() && labels.dtype() == DType::i32 && labels.device() == x.device() &&
                   labels.shape() == Shape({x.dim(0)}),
               "softmax_xent: labels must be i32 [", x.dim(0), "] on ", x.device(), ", got ", describe(labels));
}

}  // namespace

extern const SoftmaxXentKernels softmax_xent_cpu;
const SoftmaxXentKernels softmax_xent_cpu = {forward, backward};

SoftmaxXentResult softmax_xent_forward(const Tensor& x, const Tensor& labels) {
  check_inputs(x, labels);
  SoftmaxXentResult result = {Tensor::empty({}, parameter_dtype(x.dtype()), x.device()),
                              Tensor::empty({x.dim(0)}, DType::f64, x.device())};
  softmax_xent_slot.on(x.device()).forward(x, labels, result.loss, result.log_sum);
  return result;
}

Tensor softmax_xent_backward(const Tensor& x, const Tensor& labels, const Tensor& log_sum, const Tensor& dloss) {
  check_inputs(x, labels);
  check_parameters("softmax_xent", x, dloss);
  SIMCLR_CHECK(dloss.numel() == 1, "softmax_xent: dloss must be a scalar, got ", describe(dloss));
  SIMCLR_CHECK(log_sum.defined() && log_sum.dtype() == DType::f64 && log_sum.device() == x.device() &&
                   log_sum.shape() == Shape({x.dim(0)}),
               "softmax_xent: log_sum must be the forward pass's f64 [", x.dim(0), "], got ", describe(log_sum));
  Tensor dx = Tensor::empty_like(x);
  softmax_xent_slot.on(x.device()).backward(x, labels, log_sum, dloss, dx);
  return dx;
}

}  // namespace simclr::kernels
