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

inline bool same_bits(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Tensor& x, const Tensor& y) { return same_bits(x, y); });
}

/// A scalar 1: where a gradient starts.
inline Tensor one(DType dtype, Device device = {}) {
  return Tensor::full({}, 1.0, dtype, device);
}

/// i32 [rows], row i of class (first + i step) % classes.
inline Tensor classes_of(std::int64_t rows, std::int64_t classes, std::int64_t first = 0, std::int64_t step = 1) {
  std::vector<std::int32_t> values(static_cast<std::size_t>(rows));
  for (std::int64_t i = 0; i < rows; ++i) {
    values[static_cast<std::size_t>(i)] = static_cast<std::int32_t>((first + i * step) % classes);
  }
  return Tensor::from(values, {rows});
}

/// Two views each of rows / 2 samples, [a; b], f64: rows i and i + rows / 2 differ by `noise`.
inline Tensor aligned(std::int64_t rows, std::int64_t width, double noise, std::uint64_t seed = 5) {
  const auto base = random_tensor({rows / 2, width}, seed).to_vector<double>();
  auto z = random_tensor({rows, width}, seed + 1).to_vector<double>();
  for (std::size_t i = 0; i < z.size(); ++i) z[i] = base[i % base.size()] + noise * z[i];
  return Tensor::from(z, {rows, width});
}

}  // namespace simclr::test
