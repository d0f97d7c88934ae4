// Batch normalisation on the CPU. x [rows,C]; per channel
//   y = act((x - mean) scale + beta [+ residual]),  scale = gamma rstd
// and backward, with g = dy where y > 0 (dy without ReLU) and xhat = (x - mean) rstd
//   dbeta = sum g,  dgamma = sum g xhat
//   dx = scale (g - dbeta / count - xhat dgamma / count)   (training)
//   dx = scale g                                            (evaluation)
// Every function is one pass over its tensors: they are larger than the caches, so the pass is the cost.
// The ReLU mask is recomputed from x by the very function that the forward pass used: the signs agree.
#include <simclr/kernels/batchnorm.h>
#include <simclr/kernels/check.h>
#include <simclr/kernels/rows.h>

#include <cmath>
#include <vector>

namespace simclr::kernels {
namespace {

/// What a channel is multiplied with and moved by, spread over a step.
template <class T>
struct Coefficients {
  Lanes<T> mean, scale, beta;

  Coefficients(const Rows& rows, const BatchnormStatistics& statistics, const Tensor& gamma, const Tensor& beta_tensor)
      : mean(rows.spread<T>([m = statistics.mean.data<T>()](std::int64_t c) { return m[c]; })),
        scale(rows.spread<T>(
            [g = gamma.data<T>(), r = statistics.rstd.data<T>()](std::int64_t c) { return g[c] * r[c]; })),
        beta(rows.spread<T>([b = beta_tensor.data<T>()](std::int64_t c) { return b[c]; })) {}
};

/// The normalised value before residual and ReLU. x - mean comes first: folding the mean into beta would
/// cancel where the mean is large.
template <class T>
struct Affine {
  const T *x, *mean, *scale, *beta;

  Affine(const Tensor& x_tensor, const Coefficients<T>& k)
      : x(x_tensor.data<T>()), mean(k.mean.data()), scale(k.scale.data()), beta(k.beta.data()) {}

  T operator()(std::int64_t index, std::int64_t lane) const {
    return (x[index] - mean[lane]) * scale[lane] + beta[lane];
  }
};

/// The gradient behind a ReLU whose output is y. By value: a load under a condition would not vectorise.
template <class T>
T behind_relu(T y, T dy) {
  return y > T{0} ? dy : dy - dy;  // 0, or NaN
}

/// Calls body(g), g(index, lane) being the gradient behind the ReLU mask.
template <class T, class Body>
void with_masked_gradient(const Tensor& dy_tensor, bool masked_already, const BatchnormSaved& saved,
                          const Coefficients<T>& coefficients, Body body) {
  const T* dy = dy_tensor.data<T>();
  if (!saved.relu || masked_already) {
    body([=](std::int64_t index, std::int64_t) { return dy[index]; });
  } else if (saved.y.defined()) {
    const T* y = saved.y.data<T>();
    body([=](std::int64_t index, std::int64_t) { return behind_relu(y[index], dy[index]); });
  } else {
    const Affine<T> y(saved.x, coefficients);
    body([=](std::int64_t index, std::int64_t lane) { return behind_relu(y(index, lane), dy[index]); });
  }
}

void sums_cpu(const Tensor& x_tensor, Tensor& sums) {
  dispatch_float(x_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Rows rows(x_tensor);
    const T* x = x_tensor.data<T>();
    double* out = sums.data<double>();
    const std::int64_t channels = rows.channels();
    for (std::int64_t c = 0; c < channels; ++c) out[c] = rows.count() > 0 ? static_cast<double>(x[c]) : 0.0;
    const Lanes<T> spread = rows.spread<T>([=](std::int64_t c) { return static_cast<T>(out[c]); });
    const T* shift = spread.data();
    rows.sum<T>(out + channels, out + 2 * channels, [=](std::int64_t index, std::int64_t lane) {
      const T d = x[index] - shift[lane];
      return Pair<T>{d, d * d};
    });
  });
}

void merge_cpu(const Tensor& a_tensor, std::int64_t count_a, const Tensor& b_tensor, std::int64_t count_b,
               Tensor& sums) {
  const double *a = a_tensor.data<double>(), *b = b_tensor.data<double>();
  double* out = sums.data<double>();
  const std::int64_t channels = a_tensor.dim(1);
  for (std::int64_t c = 0; c < channels; ++c) {
    const double count = static_cast<double>(count_b);
    // sum (x - shift_a)^2 = sum ((x - shift_b) + move)^2. No rows say nothing about a shift.
    const double move = count_a == 0 || count_b == 0 ? 0.0 : b[c] - a[c];
    const double sum_b = b[channels + c], squares_b = b[2 * channels + c];
    out[c] = count_a == 0 ? b[c] : a[c];
    out[channels + c] = a[channels + c] + sum_b + count * move;
    out[2 * channels + c] = a[2 * channels + c] + squares_b + move * (2 * sum_b + count * move);
  }
}

void finalize_cpu(const Tensor& sums, std::int64_t count, double eps, double momentum, BatchnormStatistics& statistics,
                  Tensor& running_mean, Tensor& running_var) {
  dispatch_float(statistics.mean.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const double* s = sums.data<double>();
    const std::int64_t channels = sums.dim(1);
    T *mean = statistics.mean.data<T>(), *rstd = statistics.rstd.data<T>();
    T* moved_mean = running_mean.defined() ? running_mean.data<T>() : nullptr;
    T* moved_var = running_var.defined() ? running_var.data<T>() : nullptr;
    const auto n = static_cast<double>(count);
    const auto move = [momentum](T& running, double value) {
      const auto old = static_cast<double>(running);
      running = static_cast<T>(old + momentum * (value - old));
    };
    for (std::int64_t c = 0; c < channels; ++c) {
      const double offset = s[channels + c] / n;
      const double difference = s[2 * channels + c] / n - offset * offset;
      const double var = difference < 0 ? 0.0 : difference;  // rounding; a NaN stays one
      mean[c] = static_cast<T>(s[c] + offset);
      rstd[c] = static_cast<T>(1.0 / std::sqrt(var + eps));
      if (moved_mean) move(moved_mean[c], s[c] + offset);
      if (moved_var) move(moved_var[c], var * n / (n - 1));
    }
  });
}

void from_running_cpu(const Tensor& running_mean, const Tensor& running_var, double eps,
                      BatchnormStatistics& statistics) {
  statistics.mean.copy_from(running_mean);
  dispatch_float(running_var.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* var = running_var.data<T>();
    T* rstd = statistics.rstd.data<T>();
    const std::int64_t channels = running_var.numel();
    for (std::int64_t c = 0; c < channels; ++c) {
      rstd[c] = static_cast<T>(1.0 / std::sqrt(static_cast<double>(var[c]) + eps));
    }
  });
}

void apply_cpu(const Tensor& x, const BatchnormStatistics& statistics, const Tensor& gamma, const Tensor& beta,
               const Tensor& residual, bool relu, Tensor& y_tensor) {
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Rows rows(x);
    const Coefficients<T> coefficients(rows, statistics, gamma, beta);
    const Affine<T> affine(x, coefficients);
    T* y = y_tensor.data<T>();
    const auto write = [&](auto value) {
      rows.for_each_step([=](std::int64_t offset, std::int64_t n) {
#pragma omp simd
        for (std::int64_t i = 0; i < n; ++i) y[offset + i] = value(offset + i, i);
      });
    };
    const auto positive = [](T value) { return value > T{0} ? value : value - value; };  // 0, or NaN
    if (residual.defined()) {
      const T* r = residual.data<T>();
      const auto sum = [=](std::int64_t index, std::int64_t lane) { return affine(index, lane) + r[index]; };
      if (relu) {
        write([=](std::int64_t index, std::int64_t lane) { return positive(sum(index, lane)); });
      } else {
        write(sum);
      }
    } else if (relu) {
      write([=](std::int64_t index, std::int64_t lane) { return positive(affine(index, lane)); });
    } else {
      write(affine);
    }
  });
}

void backward_sums_cpu(const Tensor& dy, const BatchnormSaved& saved, Tensor& dgamma, Tensor& dbeta, Tensor& masked) {
  dispatch_float(dy.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Rows rows(dy);
    const Coefficients<T> coefficients(rows, saved.statistics, saved.gamma, saved.beta);
    const T* x = saved.x.data<T>();
    const T* mean = coefficients.mean.data();
    std::vector<double> sum(static_cast<std::size_t>(rows.channels())), sum_centred(sum.size());
    with_masked_gradient<T>(dy, false, saved, coefficients, [&](auto g) {
      if (masked.defined()) {
        T* out = masked.data<T>();
        rows.sum<T>(sum.data(), sum_centred.data(), [=](std::int64_t index, std::int64_t lane) {
          const T value = g(index, lane);
          out[index] = value;
          return Pair<T>{value, value * (x[index] - mean[lane])};
        });
      } else {
        rows.sum<T>(sum.data(), sum_centred.data(), [=](std::int64_t index, std::int64_t lane) {
          const T value = g(index, lane);
          return Pair<T>{value, value * (x[index] - mean[lane])};
        });
      }
    });
    const T* rstd = saved.statistics.rstd.data<T>();
    T *gamma_out = dgamma.data<T>(), *beta_out = dbeta.data<T>();
    for (std::int64_t c = 0; c < rows.channels(); ++c) {
      gamma_out[c] = static_cast<T>(sum_centred[c] * static_cast<double>(rstd[c]));
      beta_out[c] = static_cast<T>(sum[c]);
    }
  });
}

void backward_data_cpu(const Tensor& dy, bool masked_already, const BatchnormSaved& saved, const Tensor& dgamma,
                       const Tensor& dbeta, std::int64_t count, bool training, Tensor& dx_tensor) {
  dispatch_float(dy.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Rows rows(dy);
    const Coefficients<T> coefficients(rows, saved.statistics, saved.gamma, saved.beta);
    const T *scale = coefficients.scale.data(), *mean = coefficients.mean.data();
    T* dx = dx_tensor.data<T>();
    const auto write = [&](auto value) {
      rows.for_each_step([=](std::int64_t offset, std::int64_t n) {
#pragma omp simd
        for (std::int64_t i = 0; i < n; ++i) dx[offset + i] = value(offset + i, i);
      });
    };
    with_masked_gradient<T>(dy, masked_already, saved, coefficients, [&](auto g) {
      if (!training) {
        write([=](std::int64_t index, std::int64_t lane) { return scale[lane] * g(index, lane); });
        return;
      }
      // dx = scale g + (x - mean) slope + constant
      const T *x = saved.x.data<T>(), *rstd = saved.statistics.rstd.data<T>();
      const T *dg = dgamma.data<T>(), *db = dbeta.data<T>();
      const auto n = static_cast<T>(count);
      const Lanes<T> slopes = rows.spread<T>([=](std::int64_t c) { return -scale[c] * rstd[c] * dg[c] / n; });
      const Lanes<T> constants = rows.spread<T>([=](std::int64_t c) { return -scale[c] * db[c] / n; });
      const T *slope = slopes.data(), *constant = constants.data();
      write([=](std::int64_t index, std::int64_t lane) {
        return scale[lane] * g(index, lane) + ((x[index] - mean[lane]) * slope[lane] + constant[lane]);
      });
    });
  });
}

void check_input(const char* op, const Tensor& x) {
  check_floats(op, x);
  SIMCLR_CHECK(x.rank() >= 2, op, ": x must be [...,C] with at least 2 dimensions, got ", describe(x));
}

void check_channels(const char* op, const char* what, const Tensor& tensor, const Tensor& x) {
  check_parameters(op, x, tensor);
  check_shape(op, what, tensor, {x.dim(-1)});
}

void check_forward(const char* op, const Tensor& x, const BatchnormStatistics& statistics, const Tensor& gamma,
                   const Tensor& beta) {
  check_input(op, x);
  check_channels(op, "mean", statistics.mean, x);
  check_channels(op, "rstd", statistics.rstd, x);
  check_channels(op, "gamma", gamma, x);
  check_channels(op, "beta", beta, x);
}

void check_saved(const char* op, const Tensor& dy, const BatchnormSaved& saved) {
  check_forward(op, saved.x, saved.statistics, saved.gamma, saved.beta);
  check_floats(op, saved.x, dy);
  check_shape(op, "dy", dy, saved.x.shape());
  if (saved.y.defined()) {
    check_floats(op, saved.x, saved.y);
    check_shape(op, "y", saved.y, saved.x.shape());
  }
}

void check_sums(const char* op, const Tensor& sums) {
  SIMCLR_CHECK(sums.defined() && sums.dtype() == DType::f64 && sums.rank() == 2 && sums.dim(0) == 3, op,
               ": sums must be f64 [3,C], got ", describe(sums));
}

}  // namespace

extern const BatchnormKernels batchnorm_cpu;
const BatchnormKernels batchnorm_cpu = {sums_cpu,  merge_cpu,         finalize_cpu,     from_running_cpu,
                                        apply_cpu, backward_sums_cpu, backward_data_cpu};

Tensor batchnorm_sums(const Tensor& x) {
  check_input("batchnorm_sums", x);
  Tensor sums = Tensor::empty({3, x.dim(-1)}, DType::f64, x.device());
  batchnorm_slot.on(x.device()).sums(x, sums);
  return sums;
}

Tensor batchnorm_merge(const Tensor& sums_a, std::int64_t count_a, const Tensor& sums_b, std::int64_t count_b) {
  check_sums("batchnorm_merge", sums_a);
  check_parameters("batchnorm_merge", sums_a, sums_b);
  check_shape("batchnorm_merge", "sums_b", sums_b, sums_a.shape());
  SIMCLR_CHECK(count_a >= 0 && count_b >= 0, "batchnorm_merge: counts ", count_a, " and ", count_b,
               " cannot be negative");
  Tensor sums = Tensor::empty_like(sums_a);
  batchnorm_slot.on(sums.device()).merge(sums_a, count_a, sums_b, count_b, sums);
  return sums;
}

BatchnormStatistics batchnorm_finalize(const Tensor& sums, std::int64_t count, DType dtype, double eps, double momentum,
                                       Tensor running_mean, Tensor running_var) {
  constexpr const char* op = "batchnorm_finalize";
  check_sums(op, sums);
  SIMCLR_CHECK(count >= 2, op, ": ", count, " values a channel have no variance; use at least 2, or evaluation mode");
  SIMCLR_CHECK(computes_with(sums.device(), dtype), op, ": wants f32 or ",
               sums.device().type == DeviceType::cpu ? "f64" : "bf16", ", got ", dtype);
  const auto make = [&] { return Tensor::empty({sums.dim(1)}, parameter_dtype(dtype), sums.device()); };
  BatchnormStatistics statistics{make(), make()};
  for (const auto& [what, running] : {std::pair{"running_mean", running_mean}, std::pair{"running_var", running_var}}) {
    if (!running.defined()) continue;
    check_parameters(op, statistics.mean, running);
    check_shape(op, what, running, {sums.dim(1)});
  }
  batchnorm_slot.on(sums.device()).finalize(sums, count, eps, momentum, statistics, running_mean, running_var);
  return statistics;
}

BatchnormStatistics batchnorm_from_running(const Tensor& running_mean, const Tensor& running_var, double eps) {
  constexpr const char* op = "batchnorm_from_running";
  check_floats(op, running_mean);
  check_parameters(op, running_mean, running_mean, running_var);
  check_rank(op, "running_mean", running_mean, 1);
  check_shape(op, "running_var", running_var, running_mean.shape());
  BatchnormStatistics statistics{Tensor::empty_like(running_mean), Tensor::empty_like(running_var)};
  batchnorm_slot.on(running_mean.device()).from_running(running_mean, running_var, eps, statistics);
  return statistics;
}

Tensor batchnorm_apply(const Tensor& x, const BatchnormStatistics& statistics, const Tensor& gamma, const Tensor& beta,
                       const Tensor& residual, bool relu) {
  constexpr const char* op = "batchnorm_apply";
  check_forward(op, x, statistics, gamma, beta);
  if (residual.defined()) {
    check_floats(op, x, residual);
    check_shape(op, "residual", residual, x.shape());
  }
  Tensor y = Tensor::empty_like(x);
  batchnorm_slot.on(x.device()).apply(x, statistics, gamma, beta, residual, relu, y);
  return y;
}

void batchnorm_backward_sums(const Tensor& dy, const BatchnormSaved& saved, Tensor& dgamma, Tensor& dbeta,
                             Tensor masked) {
  constexpr const char* op = "batchnorm_backward_sums";
  check_saved(op, dy, saved);
  check_channels(op, "dgamma", dgamma, saved.x);
  check_channels(op, "dbeta", dbeta, saved.x);
  if (masked.defined()) {
    check_floats(op, saved.x, masked);
    check_shape(op, "masked", masked, dy.shape());
  }
  batchnorm_slot.on(dy.device()).backward_sums(dy, saved, dgamma, dbeta, masked);
}

Tensor batchnorm_backward_data(const Tensor& g, bool masked_already, const BatchnormSaved& saved, const Tensor& dgamma,
                               const Tensor& dbeta, std::int64_t count, bool training) {
  constexpr const char* op = "batchnorm_backward_data";
  check_saved(op, g, saved);
  if (training) {
    check_channels(op, "dgamma", dgamma, saved.x);
    check_channels(op, "dbeta", dbeta, saved.x);
    SIMCLR_CHECK(count >= 1, op, ": count is ", count, "; it is the number of rows that the statistics were taken of");
  }
  Tensor dx = Tensor::empty_like(g);
  batchnorm_slot.on(g.device()).backward_data(g, masked_already, saved, dgamma, dbeta, count, training, dx);
  return dx;
}

}  // namespace simclr::kernels
