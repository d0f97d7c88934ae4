// Batch normalisation on the CPU. x [rows,C]; per channel
//   y = act((x - mean) scale + beta [+ residual]),  scale = gamma rstd
// and backward, with g = dy where y > 0 (dy without ReLU) and xhat = (x - mean) rstd
//   dbeta = sum g,  dgamma = sum g xhat
//   dx = scale (g - dbeta / count - xhat dgamma / count)   (training)
//   dx = scale g                                            (evaluation)
// Every function is one pass over its tensors (cpu/rows.h); the loops are in cpu/batchnorm.h.
#include <simclr/kernels/batchnorm.h>
#include <simclr/kernels/cpu/rows.h>
#include <simclr/kernels/shared/batchnorm.h>
#include <simclr/kernels/shared/check.h>
#include <simclr/kernels/shared/data_or_null.h>

#include "cpu/batchnorm.h"

#include <type_traits>
#include <vector>

namespace simclr::kernels {
namespace {

template <class T>
const BatchnormFunctions<T>& loops() {
  if constexpr (std::is_same_v<T, float>) {
    return batchnorm_loops().f32;
  } else {
    return batchnorm_loops().f64;
  }
}

/// What a channel is multiplied with and moved by, for each lane.
template <class T>
struct Coefficients {
  std::vector<T> values;  // mean, scale, beta, then for backward_data in training slope and constant
  BatchnormLanes<T> lanes{};

  Coefficients(const Rows& rows, const BatchnormStatistics& statistics, const Tensor& gamma, const Tensor& beta) {
    const T *mean = statistics.mean.data<T>(), *rstd = statistics.rstd.data<T>();
    const T *g = gamma.data<T>(), *b = beta.data<T>();
    values.reserve(static_cast<std::size_t>(5 * rows.width()));
    rows.spread(values, [=](std::int64_t c) { return mean[c]; });
    rows.spread(values, [=](std::int64_t c) { return g[c] * rstd[c]; });
    rows.spread(values, [=](std::int64_t c) { return b[c]; });
    lanes.mean = values.data();
    lanes.scale = lanes.mean + rows.width();
    lanes.beta = lanes.scale + rows.width();
  }

  /// dx = scale g + (x - mean) slope + constant
  void add_training(const Rows& rows, const BatchnormStatistics& statistics, const Tensor& dgamma, const Tensor& dbeta,
                    std::int64_t count) {
    const T *rstd = statistics.rstd.data<T>(), *dg = dgamma.data<T>(), *db = dbeta.data<T>();
    const T* scale = lanes.scale;
    const auto n = static_cast<T>(count);
    const auto line = [=](std::int64_t c) { return training_line(scale[c], rstd[c], dg[c], db[c], n); };
    rows.spread(values, [=](std::int64_t c) { return line(c).slope; });
    rows.spread(values, [=](std::int64_t c) { return line(c).constant; });
    lanes.slope = lanes.beta + rows.width();
    lanes.constant = lanes.slope + rows.width();
  }
};

BatchnormMask mask_of(const BatchnormSaved& saved, bool masked_already) {
  if (!saved.relu || masked_already) return BatchnormMask::none;
  return saved.y.defined() ? BatchnormMask::output : BatchnormMask::input;
}

void sums_cpu(const Tensor& x_tensor, Tensor& sums) {
  dispatch_float(x_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Rows rows(x_tensor);
    const T* x = x_tensor.data<T>();
    double* out = sums.data<double>();
    const std::int64_t channels = rows.channels();
    for (std::int64_t c = 0; c < channels; ++c) out[c] = x_tensor.numel() > 0 ? static_cast<double>(x[c]) : 0.0;
    std::vector<T> shift;
    rows.spread(shift, [=](std::int64_t c) { return static_cast<T>(out[c]); });
    rows.sum<T>(out + channels, out + 2 * channels,
                [&](const RowSteps& part, const RowSums<T>& to) { loops<T>().sums(part, x, shift.data(), to); });
  });
}

void merge_cpu(const Tensor& parts, std::int64_t count, Tensor& sums) {
  double* out = sums.data<double>();
  const std::int64_t channels = sums.dim(1);
  for (std::int64_t c = 0; c < channels; ++c) {
    const BatchnormMoments all =
        merged_moments(parts.data<double>(), parts.dim(0), static_cast<double>(count), channels, c);
    out[c] = all.shift, out[channels + c] = all.sum, out[2 * channels + c] = all.squares;
  }
}

void finalize_cpu(const Tensor& sums, std::int64_t count, double eps, double momentum, BatchnormStatistics& statistics,
                  Tensor& running_mean, Tensor& running_var) {
  dispatch_float(statistics.mean.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const double* s = sums.data<double>();
    const std::int64_t channels = sums.dim(1);
    T *mean = statistics.mean.data<T>(), *rstd = statistics.rstd.data<T>();
    T *moved_mean = data_or_null<T>(running_mean), *moved_var = data_or_null<T>(running_var);
    for (std::int64_t c = 0; c < channels; ++c) {
      finalize(moments_of(s, channels, c), static_cast<double>(count), eps, momentum, mean + c, rstd + c,
               moved_mean ? moved_mean + c : nullptr, moved_var ? moved_var + c : nullptr);
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
    for (std::int64_t c = 0; c < channels; ++c) rstd[c] = reciprocal_deviation<T>(static_cast<double>(var[c]), eps);
  });
}

void apply_cpu(const Tensor& x, const BatchnormStatistics& statistics, const Tensor& gamma, const Tensor& beta,
               const Tensor& residual, bool relu, Tensor& y) {
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Rows rows(x);
    const Coefficients<T> k(rows, statistics, gamma, beta);
    rows.for_each([&](const RowSteps& part) {
      loops<T>().apply(part, k.lanes, x.data<T>(), data_or_null<T>(residual), relu, y.data<T>());
    });
  });
}

void backward_sums_cpu(const Tensor& dy, const BatchnormSaved& saved, Tensor& dgamma, Tensor& dbeta, Tensor& masked) {
  dispatch_float(dy.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Rows rows(dy);
    const Coefficients<T> k(rows, saved.statistics, saved.gamma, saved.beta);
    std::vector<double> sum(static_cast<std::size_t>(rows.channels())), sum_centred(sum.size());
    rows.sum<T>(sum.data(), sum_centred.data(), [&](const RowSteps& part, const RowSums<T>& to) {
      loops<T>().backward_sums(part, k.lanes, mask_of(saved, false), dy.data<T>(), saved.x.data<T>(),
                               data_or_null<T>(saved.y), data_or_null<T>(masked), to);
    });
    const T* rstd = saved.statistics.rstd.data<T>();
    T *gamma_out = dgamma.data<T>(), *beta_out = dbeta.data<T>();
    for (std::int64_t c = 0; c < rows.channels(); ++c) {
      const BatchnormGradients<T> of = parameter_gradients(sum[c], sum_centred[c], rstd[c]);
      gamma_out[c] = of.dgamma, beta_out[c] = of.dbeta;
    }
  });
}

void backward_data_cpu(const Tensor& dy, bool masked_already, const BatchnormSaved& saved, const Tensor& dgamma,
                       const Tensor& dbeta, std::int64_t count, bool training, Tensor& dx) {
  dispatch_float(dy.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Rows rows(dy);
    Coefficients<T> k(rows, saved.statistics, saved.gamma, saved.beta);
    if (training) k.add_training(rows, saved.statistics, dgamma, dbeta, count);
    rows.for_each([&](const RowSteps& part) {
      loops<T>().backward_data(part, k.lanes, mask_of(saved, masked_already), dy.data<T>(), saved.x.data<T>(),
                               data_or_null<T>(saved.y), dx.data<T>());
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

Tensor batchnorm_merge(const Tensor& parts, std::int64_t count) {
  SIMCLR_CHECK(
      parts.defined() && parts.dtype() == DType::f64 && parts.rank() == 3 && parts.dim(0) > 0 && parts.dim(1) == 3,
      "batchnorm_merge: parts must be f64 [P,3,C] with P of at least 1, got ", describe(parts));
  SIMCLR_CHECK(count >= 0, "batchnorm_merge: count ", count, " cannot be negative");
  Tensor sums = Tensor::empty({3, parts.dim(2)}, DType::f64, parts.device());
  batchnorm_slot.on(sums.device()).merge(parts, count, sums);
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
                               const Tensor& dbeta, std::int64_t count, bool training, Tensor dx) {
  constexpr const char* op = "batchnorm_backward_data";
  check_saved(op, g, saved);
  if (training) {
    check_channels(op, "dgamma", dgamma, saved.x);
    check_channels(op, "dbeta", dbeta, saved.x);
    SIMCLR_CHECK(count >= 1, op, ": count is ", count, "; it is the number of rows that the statistics were taken of");
  }
  if (!dx.defined()) dx = Tensor::empty_like(g);
  check_floats(op, g, dx);
  check_shape(op, "dx", dx, g.shape());
  batchnorm_slot.on(g.device()).backward_data(g, masked_already, saved, dgamma, dbeta, count, training, dx);
  return dx;
}

}  // namespace simclr::kernels
