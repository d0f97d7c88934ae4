#pragma once

// Private: what batch normalisation does for a channel, shared by the CPU and CUDA. T is the dtype of parameters and
// statistics; sums are f64. The equations stand in batchnorm.h.

#include <simclr/kernels/shared/target.h>

#include <cmath>
#include <cstdint>

namespace simclr::kernels {
inline namespace SIMCLR_TARGET {

/// Of `count` rows: `sum` of x - shift, and `squares` of its square.
struct BatchnormMoments {
  double shift, sum, squares;
};

/// Those of the rows of a and b together, by sum (x - shift_a)^2 = sum ((x - shift_b) + move)^2. No rows say nothing
/// about a shift.
SIMCLR_HOST_DEVICE inline BatchnormMoments merge(const BatchnormMoments& a, double count_a, const BatchnormMoments& b,
                                                 double count_b) {
  const double move = count_a == 0 || count_b == 0 ? 0.0 : b.shift - a.shift;
  return {count_a == 0 ? b.shift : a.shift, a.sum + b.sum + count_b * move,
          a.squares + b.squares + move * (2 * b.sum + count_b * move)};
}

/// Of channel c in sums [3,C].
SIMCLR_HOST_DEVICE inline BatchnormMoments moments_of(const double* sums, std::int64_t channels, std::int64_t c) {
  return {sums[c], sums[channels + c], sums[2 * channels + c]};
}

/// Of channel c in `parts` sums [3,C] of `count` rows each.
SIMCLR_HOST_DEVICE inline BatchnormMoments merged_moments(const double* sums, std::int64_t parts, double count,
                                                          std::int64_t channels, std::int64_t c) {
  BatchnormMoments all = moments_of(sums, channels, c);
  for (std::int64_t p = 1; p < parts; ++p) {
    all = merge(all, static_cast<double>(p) * count, moments_of(sums + 3 * p * channels, channels, c), count);
  }
  return all;
}

/// 1 / sqrt(var + eps).
template <class T>
SIMCLR_HOST_DEVICE inline T reciprocal_deviation(double var, double eps) {
  return static_cast<T>(1.0 / std::sqrt(var + eps));
}

/// A running statistic after it has moved towards that of a batch.
template <class T>
SIMCLR_HOST_DEVICE inline T moved(T running, double value, double momentum) {
  const auto old = static_cast<double>(running);
  return static_cast<T>(old + momentum * (value - old));
}

/// Writes mean and rstd of a channel, and moves its running statistics, which may be null.
template <class T>
SIMCLR_HOST_DEVICE inline void finalize(const BatchnormMoments& of, double count, double eps, double momentum, T* mean,
                                        T* rstd, T* running_mean, T* running_var) {
  const double offset = of.sum / count;
  const double difference = of.squares / count - offset * offset;
  const double var = difference < 0 ? 0.0 : difference;  // rounding; a NaN stays one
  const double centre = of.shift + offset;
  *mean = static_cast<T>(centre);
  *rstd = reciprocal_deviation<T>(var, eps);
  if (running_mean != nullptr) *running_mean = moved(*running_mean, centre, momentum);
  if (running_var != nullptr) *running_var = moved(*running_var, var * count / (count - 1), momentum);
}

/// From the sums of g and g (x - mean).
template <class T>
struct BatchnormGradients {
  T dgamma, dbeta;
};
template <class T>
SIMCLR_HOST_DEVICE inline BatchnormGradients<T> parameter_gradients(double sum, double sum_centred, T rstd) {
  return {static_cast<T>(sum_centred * static_cast<double>(rstd)), static_cast<T>(sum)};
}

/// Of dx = scale g + (x - mean) slope + constant, in training, where `count` rows made the statistics.
template <class T>
struct BatchnormLine {
  T slope, constant;
};
template <class T>
SIMCLR_HOST_DEVICE inline BatchnormLine<T> training_line(T scale, T rstd, T dgamma, T dbeta, T count) {
  return {-scale * rstd * dgamma / count, -scale * dbeta / count};
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::kernels
