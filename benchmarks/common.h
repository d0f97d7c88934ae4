#pragma once

// Timing shared by the benchmarks.

#include <simclr/core/random.h>
#include <simclr/core/tensor.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

namespace bench {

/// Seconds of one call.
inline double seconds(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Times {
  double median = 0, least = 0, most = 0;
};

inline Times summarize(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  return {samples[samples.size() / 2], samples.front(), samples.back()};
}

/// Uniform in [-1, 1).
inline simclr::Tensor random(const simclr::Shape& shape, std::uint64_t seed) {
  const simclr::Random random(seed, simclr::RandomPurpose::user);
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = 2 * random.uniform(static_cast<std::uint32_t>(i)) - 1;
  return simclr::Tensor::from(values, shape);
}

}  // namespace bench
