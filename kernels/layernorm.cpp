// Layer normalisation on the CPU. Each row of s = x [+ residual], [R,C]:
//   y = gamma (s - mean) rstd + beta
// and backward, with g = gamma dy and xhat = (s - mean) rstd
//   dx = rstd (g - mean_c(g) - xhat mean_c(g xhat)) [+ ds],  dgamma = sum dy xhat,  dbeta = sum dy
// A row is read once from memory and then from the cache. Sums of a row are f64. dgamma and dbeta are those of blocks
// of rows, cut by the sizes alone, added up in order.
#include <simclr/core/parallel.h>
#include <simclr/kernels/layernorm.h>
#include <simclr/kernels/shared/check.h>
#include <simclr/kernels/shared/data_or_null.h>

#include <algorithm>
#include <cmath>

namespace simclr::kernels {
namespace {

/// Sums are taken in so many lanes, in a fixed order.
constexpr std::int64_t lanes = 8;

/// The sum of value(c), c in [0, width), in f64.
template <class Value>
double sum_of(std::int64_t width, Value value) {
  double lane[lanes] = {};
  std::int64_t c = 0;
  for (; c + lanes <= width; c += lanes) {
#pragma omp simd
    for (std::int64_t l = 0; l < lanes; ++l) lane[l] += value(c + l);
  }
  for (std::int64_t l = 0; c < width; ++c, ++l) lane[l] += value(c);
  return ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

void forward_cpu(const Tensor& x_tensor, const Tensor& residual_tensor, const Tensor& gamma_tensor,
                 const Tensor& beta_tensor, double eps, LayernormResult& result) {
  dispatch_float(x_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t width = x_tensor.dim(-1);
    const T *x = x_tensor.data<T>(), *residual = data_or_null<T>(residual_tensor);
    const T *gamma = gamma_tensor.data<T>(), *beta = beta_tensor.data<T>();
    T *s_first = result.saved.s.data<T>(), *y_first = result.y.data<T>();
    T *means = result.saved.mean.data<T>(), *rstds = result.saved.rstd.data<T>();
    parallel_for(
        result.saved.mean.numel(), items_a_piece({.bytes = 16 * width}), [=](std::int64_t begin, std::int64_t end) {
          for (std::int64_t row = begin; row < end; ++row) {
            // 1 the residual sum
            T *s = s_first + row * width, *y = y_first + row * width;
            if (residual != nullptr) {
              const T *a = x + row * width, *b = residual + row * width;
#pragma omp simd
              for (std::int64_t c = 0; c < width; ++c) s[c] = a[c] + b[c];
            }
            // 2 mean and variance, the second around the first
            const auto count = static_cast<double>(width);
            const double mean = sum_of(width, [=](std::int64_t c) { return static_cast<double>(s[c]); }) / count;
            const double var = sum_of(width,
                                      [=](std::int64_t c) {
                                        const double d = static_cast<double>(s[c]) - mean;
                                        return d * d;
                                      }) /
                               count;
            const T centre = static_cast<T>(mean), rstd = static_cast<T>(1 / std::sqrt(var + eps));
            means[row] = centre, rstds[row] = rstd;
        // 3 y
#pragma omp simd
            for (std::int64_t c = 0; c < width; ++c) y[c] = (s[c] - centre) * rstd * gamma[c] + beta[c];
          }
        });
  });
}

/// A row of the backward pass.
template <class T>
struct Row {
  const T *dy, *ds, *s;  // ds may be null
  T mean, rstd;
  T* dx;

  /// Writes dx, and adds dy xhat to dgamma and dy to dbeta.
  void backward(const T* gamma, std::int64_t width, double* dgamma, double* dbeta) const {
    const auto xhat = [this](std::int64_t c) { return (s[c] - mean) * rstd; };
    const auto count = static_cast<double>(width);
    const T along =
        static_cast<T>(sum_of(width, [&](std::int64_t c) { return static_cast<double>(dy[c] * gamma[c]); }) / count);
    const T turned = static_cast<T>(
        sum_of(width, [&](std::int64_t c) { return static_cast<double>(dy[c] * gamma[c] * xhat(c)); }) / count);
#pragma omp simd
    for (std::int64_t c = 0; c < width; ++c) {
      const T x = xhat(c), gradient = dy[c];
      dgamma[c] += static_cast<double>(gradient * x);
      dbeta[c] += static_cast<double>(gradient);
      dx[c] = rstd * (gradient * gamma[c] - along - x * turned);
    }
    if (ds == nullptr) return;
#pragma omp simd
    for (std::int64_t c = 0; c < width; ++c) dx[c] += ds[c];
  }
};

void backward_cpu(const Tensor& dy_tensor, const Tensor& ds_tensor, const LayernormSaved& saved,
                  const Tensor& gamma_tensor, Tensor& dx_tensor, Tensor& dgamma_tensor, Tensor& dbeta_tensor) {
  constexpr std::int64_t most_blocks = 64;
  dispatch_float(dy_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t width = dy_tensor.dim(-1), rows = saved.mean.numel();
    const std::int64_t block = std::max(items_a_piece({.bytes = 16 * width}), (rows + most_blocks - 1) / most_blocks);
    const std::int64_t blocks = (rows + block - 1) / block;
    const Tensor partial = Tensor::zeros({blocks, 2, width}, DType::f64);
    double* sums = partial.data<double>();
    const T *dy = dy_tensor.data<T>(), *ds = data_or_null<T>(ds_tensor), *s = saved.s.data<T>();
    const T *mean = saved.mean.data<T>(), *rstd = saved.rstd.data<T>(), *gamma = gamma_tensor.data<T>();
    T* dx = dx_tensor.data<T>();
    parallel_for(rows, block, [=](std::int64_t begin, std::int64_t end) {
      double* to = sums + begin / block * 2 * width;
      for (std::int64_t r = begin; r < end; ++r) {
        const std::int64_t at = r * width;
        const Row<T> row{dy + at, ds == nullptr ? nullptr : ds + at, s + at, mean[r], rstd[r], dx + at};
        row.backward(gamma, width, to, to + width);
      }
    });
    T *dgamma = dgamma_tensor.data<T>(), *dbeta = dbeta_tensor.data<T>();
    for (std::int64_t c = 0; c < width; ++c) {
      double of_gamma = 0, of_beta = 0;
      for (std::int64_t b = 0; b < blocks; ++b) {
        of_gamma += sums[2 * b * width + c];
        of_beta += sums[(2 * b + 1) * width + c];
      }
      dgamma[c] = static_cast<T>(of_gamma), dbeta[c] = static_cast<T>(of_beta);
    }
  });
}

/// The number of rows of x.
std::int64_t check_input(const char* op, const Tensor& x) {
  check_floats(op, x);
  SIMCLR_CHECK(x.rank() >= 1 && x.dim(-1) > 0, op, ": wants [...,C] with at least one channel, got ", describe(x));
  return x.numel() / x.dim(-1);
}

void check_channels(const char* op, const char* what, const Tensor& tensor, const Tensor& x) {
  check_parameters(op, x, tensor);
  check_shape(op, what, tensor, {x.dim(-1)});
}

void check_beside(const char* op, const char* what, const Tensor& tensor, const Tensor& x) {
  check_floats(op, x, tensor);
  check_shape(op, what, tensor, x.shape());
}

}  // namespace

extern const LayernormKernels layernorm_cpu;
const LayernormKernels layernorm_cpu = {forward_cpu, backward_cpu};

LayernormResult layernorm_forward(const Tensor& x, const Tensor& residual, const Tensor& gamma, const Tensor& beta,
                                  double eps) {
  constexpr const char* op = "layernorm_forward";
  const std::int64_t rows = check_input(op, x);
  if (residual.defined()) check_beside(op, "residual", residual, x);
  check_channels(op, "gamma", gamma, x);
  check_channels(op, "beta", beta, x);
  const auto statistic = [&] { return Tensor::empty({rows}, gamma.dtype(), x.device()); };
  LayernormResult result{Tensor::empty_like(x),
                         {residual.defined() ? Tensor::empty_like(x) : x.detach(), statistic(), statistic()}};
  layernorm_slot.on(x.device()).forward(x, residual, gamma, beta, eps, result);
  return result;
}

Tensor layernorm_backward(const Tensor& dy, const Tensor& ds, const LayernormSaved& saved, const Tensor& gamma,
                          Tensor& dgamma, Tensor& dbeta) {
  constexpr const char* op = "layernorm_backward";
  const std::int64_t rows = check_input(op, dy);
  if (ds.defined()) check_beside(op, "ds", ds, dy);
  check_beside(op, "s", saved.s, dy);
  check_parameters(op, dy, saved.mean, saved.rstd);
  check_shape(op, "mean", saved.mean, {rows});
  check_shape(op, "rstd", saved.rstd, {rows});
  check_channels(op, "gamma", gamma, dy);
  check_channels(op, "dgamma", dgamma, dy);
  check_channels(op, "dbeta", dbeta, dy);
  Tensor dx = Tensor::empty_like(dy);
  layernorm_slot.on(dy.device()).backward(dy, ds, saved, gamma, dx, dgamma, dbeta);
  return dx;
}

}  // namespace simclr::kernels
