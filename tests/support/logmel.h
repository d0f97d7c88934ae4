#pragma once

// Log-mels for tests: options with FFTs of all kinds of factors, and how far two results are from one another.

#include <simclr/kernels/logmel.h>

#include "support/tensors.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace simclr::test {

/// Of so many mels as have a bin each, over all frequencies; `floor` is so low that it hides nothing.
inline kernels::LogmelOptions logmel_options(std::int64_t fft, std::int64_t window, std::int64_t hop,
                                             double floor = 1e-20) {
  return {.sample_rate = 16000,
          .window = window,
          .fft = fft,
          .hop = hop,
          .mels = std::clamp<std::int64_t>(fft / 8, 1, 80),
          .lowest = 0,
          .highest = 8000,
          .floor = floor};
}

/// Of results [N,frames,mels] of logarithms: the largest difference of two powers over the largest power of its frame.
inline double power_error(const Tensor& got, const Tensor& expected) {
  if (got.shape() != expected.shape()) return INFINITY;
  const auto x = got.to_vector<double>(), y = expected.to_vector<double>();
  const auto mels = static_cast<std::size_t>(expected.dim(2));
  double worst = 0;
  for (std::size_t frame = 0; frame < y.size(); frame += mels) {
    double error = 0, largest = 1e-300;
    for (std::size_t i = frame; i < frame + mels; ++i) {
      if (std::isnan(x[i]) || std::isnan(y[i])) return INFINITY;
      error = std::max(error, std::abs(std::exp(x[i]) - std::exp(y[i])));
      largest = std::max(largest, std::exp(y[i]));
    }
    worst = std::max(worst, error / largest);
  }
  return worst;
}

/// The largest difference of two logarithms.
inline double log_error(const Tensor& got, const Tensor& expected) {
  if (got.shape() != expected.shape()) return INFINITY;
  const auto x = got.to_vector<double>(), y = expected.to_vector<double>();
  double worst = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    worst = std::max(worst, std::isnan(x[i]) || std::isnan(y[i]) ? INFINITY : std::abs(x[i] - y[i]));
  }
  return worst;
}

/// [N,S] in [-1, 1): noise, a sine of full scale, a sine that rises beside quiet noise, noise of 1e-4, in turn.
inline Tensor sounds(std::int64_t sequences, std::int64_t samples, std::uint64_t seed, DType dtype) {
  auto values = random_tensor({sequences, samples}, seed, DType::f64).to_vector<float>();
  for (std::int64_t n = 0; n < sequences; ++n) {
    for (std::int64_t i = 0; i < samples; ++i) {
      float& value = values[static_cast<std::size_t>(n * samples + i)];
      const double t = static_cast<double>(i), phase = 0.3 * static_cast<double>(n);
      if (n % 4 == 1) value = static_cast<float>(0.999 * std::sin(0.39 * t + phase));
      if (n % 4 == 2) value = static_cast<float>(0.9 * std::sin(0.05 * t + 2e-4 * t * t + phase) + 1e-3 * value);
      if (n % 4 == 3) value *= 1e-4f;
    }
  }
  return Tensor::from(values, {sequences, samples}).to(dtype);
}

}  // namespace simclr::test
