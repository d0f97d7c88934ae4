#pragma once

#include <simclr/core/tensor.h>
#include <simclr/kernels/nt_xent.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

/// NT-Xent as kernels/nt_xent.h defines it, in plain loops: what the kernels are compared with.
namespace simclr::test {

/// What the definition gives for some anchors and candidates.
struct Reference {
  double loss = 0;
  Tensor danchors, dcandidates;
  Tensor dz;  // their sum, where anchors and candidates are one tensor
};

inline bool is_positive(std::int64_t i, std::int64_t k, std::int64_t candidates, const kernels::NtXentPairs& pairs) {
  if (pairs.self_offset >= 0 && k == pairs.self_offset + i) return false;
  if (pairs.anchor_group.defined()) {
    const std::int32_t group = pairs.anchor_group.data<std::int32_t>()[i];
    return group != -1 && group == pairs.candidate_group.data<std::int32_t>()[k];
  }
  return k == (pairs.self_offset + i + candidates / 2) % candidates;
}

/// The definition, in loops, in double.
inline Reference reference(const Tensor& anchors, const Tensor& candidates, double temperature,
                           const kernels::NtXentPairs& pairs = {}, double dloss = 1) {
  const std::int64_t count = anchors.dim(0), others = candidates.dim(0), width = anchors.dim(1);
  const auto a = anchors.to_vector<double>(), b = candidates.to_vector<double>();
  const auto unit = [&](const std::vector<double>& z, std::int64_t rows, std::vector<double>& norm) {
    std::vector<double> u(z.size());
    norm.assign(static_cast<std::size_t>(rows), 0);
    for (std::int64_t i = 0; i < rows; ++i) {
      double square = 0;
      for (std::int64_t d = 0; d < width; ++d) square += z[i * width + d] * z[i * width + d];
      norm[i] = std::sqrt(square);
      for (std::int64_t d = 0; d < width; ++d) u[i * width + d] = norm[i] == 0 ? 0 : z[i * width + d] / norm[i];
    }
    return u;
  };
  std::vector<double> norm_a, norm_b;
  const auto u = unit(a, count, norm_a), v = unit(b, others, norm_b);

  std::vector<double> g(static_cast<std::size_t>(count * others), 0.0), s(static_cast<std::size_t>(others));
  double total = 0, counted = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    double highest = -std::numeric_limits<double>::infinity(), sum = 0, mean = 0, positives = 0;
    const auto is_self = [&](std::int64_t k) { return pairs.self_offset >= 0 && k == pairs.self_offset + i; };
    for (std::int64_t k = 0; k < others; ++k) {
      s[k] = 0;
      for (std::int64_t d = 0; d < width; ++d) s[k] += u[i * width + d] * v[k * width + d];
      s[k] /= temperature;
      if (is_self(k)) continue;
      highest = std::max(highest, s[k]);
      if (is_positive(i, k, others, pairs)) {
        mean += s[k];
        ++positives;
      }
    }
    if (positives == 0) continue;
    double negatives = 0, pull = 0;  // parts of the sum: with one positive p - 1 = -negatives / sum does not cancel
    for (std::int64_t k = 0; k < others; ++k) {
      if (is_self(k)) continue;
      (is_positive(i, k, others, pairs) ? pull : negatives) += std::exp(s[k] - highest);
    }
    sum = negatives + pull;
    total += pull > negatives ? std::log1p(negatives / pull) + highest + std::log(pull) - mean / positives
                              : highest + std::log(sum) - mean / positives;
    ++counted;
    for (std::int64_t k = 0; k < others; ++k) {
      if (is_self(k)) continue;
      const bool positive = is_positive(i, k, others, pairs);
      const double p = std::exp(s[k] - highest) / sum;
      g[i * others + k] = !positive ? p : positives == 1 ? -negatives / sum : p - 1 / positives;
    }
  }

  const double factor = dloss / counted / temperature;
  std::vector<double> da(a.size(), 0.0), db(b.size(), 0.0);
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t k = 0; k < others; ++k) {
      const double weight = g[i * others + k] * factor;
      for (std::int64_t d = 0; d < width; ++d) {
        da[i * width + d] += weight * v[k * width + d];
        db[k * width + d] += weight * u[i * width + d];
      }
    }
  }
  const auto through_norm = [&](std::vector<double>& gradient, const std::vector<double>& directions,
                                const std::vector<double>& norm) {
    for (std::size_t i = 0; i < norm.size(); ++i) {
      double along = 0;
      for (std::int64_t d = 0; d < width; ++d) along += gradient[i * width + d] * directions[i * width + d];
      for (std::int64_t d = 0; d < width; ++d) {
        double& value = gradient[i * width + d];
        value = norm[i] == 0 ? 0 : (value - along * directions[i * width + d]) / norm[i];
      }
    }
  };
  through_norm(da, u, norm_a);
  through_norm(db, v, norm_b);
  Reference result = {total / counted, Tensor::from(da, anchors.shape()), Tensor::from(db, candidates.shape()), {}};
  if (count == others) {
    for (std::size_t i = 0; i < da.size(); ++i) da[i] += db[i];
    result.dz = Tensor::from(da, anchors.shape());
  }
  return result;
}

}  // namespace simclr::test
