#pragma once

// Test tensors: filled from Philox, so that any language can make the same values, and poisoned outputs.

#include <simclr/core/random.h>
#include <simclr/core/tensor.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace simclr::test {

/// The sizes at which kernels change their path: one, and around a warp, a tile and a prime.
inline const std::vector<std::int64_t> edge_sizes = {1, 31, 32, 33, 127, 129, 1003};

/// Uniform in [low, high); element i is draw i of (seed, purpose user). Exactly representable in f32.
inline Tensor random_tensor(const Shape& shape, std::uint64_t seed, DType dtype = DType::f64, double low = -1.0,
                            double high = 1.0) {
  const Random random(seed, RandomPurpose::user);
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(low + (high - low) * double{random.uniform(static_cast<std::uint32_t>(i))});
  }
  return Tensor::from(values, shape).to(dtype);
}

/// max |a - b| / max(1e-30, max |b|): the error of a whole tensor against its scale.
inline double relative_error(const Tensor& a, const Tensor& b) {
  const auto x = a.to_vector<double>();
  const auto y = b.to_vector<double>();
  if (x.size() != y.size()) return INFINITY;
  double error = 0, scale = 1e-30;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i]) != std::isnan(y[i])) return INFINITY;
    error = std::max(error, std::abs(x[i] - y[i]));
    scale = std::max(scale, std::abs(y[i]));
  }
  return error / scale;
}

/// Whether two tensors hold the same bits.
inline bool same_bits(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  const auto* x = static_cast<const std::byte*>(a.raw_data());
  return std::equal(x, x + a.bytes(), static_cast<const std::byte*>(b.raw_data()));
}

}  // namespace simclr::test
