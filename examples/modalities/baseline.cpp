#include "modalities/baseline.h"

#include <simclr/core/error.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace data = simclr::data;
namespace nn = simclr::nn;

namespace {

nn::Features features_of(const data::Dataset& samples,
                         const std::function<std::vector<float>(const data::Dataset&, std::int64_t)>& features) {
  std::vector<float> values;
  nn::Features all;
  std::int64_t width = 0;
  for (std::int64_t i = 0; i < samples.size(); ++i) {
    if (samples.label(i) < 0) continue;
    try {
      const std::vector<float> row = features(samples, i);
      width = std::ssize(row);
      values.insert(values.end(), row.begin(), row.end());
      all.labels.push_back(samples.label(i));
    } catch (const simclr::Error&) {
      continue;  // the encoder's pass has named it
    }
  }
  all.values = simclr::Tensor::from(values, {std::ssize(all.labels), width});
  return all;
}

}  // namespace

Baseline baseline_of(const std::string& name, const Datasets& sets,
                     const std::function<std::vector<float>(const data::Dataset&, std::int64_t)>& features) {
  return {name, features_of(*sets.labelled, features), features_of(*sets.test, features)};
}

void SeriesStatistics::add(std::span<const double> values) {
  ++steps_;
  for (std::size_t k = 0; k < sums_.size(); ++k) {
    sums_[k] += values[k];
    squares_[k] += values[k] * values[k];
  }
}

std::vector<float> SeriesStatistics::values() const {
  std::vector<float> means, deviations;
  const double steps = std::max(steps_, 1.0);
  for (std::size_t k = 0; k < sums_.size(); ++k) {
    const double mean = sums_[k] / steps;
    means.push_back(static_cast<float>(mean));
    deviations.push_back(static_cast<float>(std::sqrt(std::max(0.0, squares_[k] / steps - mean * mean))));
  }
  means.insert(means.end(), deviations.begin(), deviations.end());
  return means;
}
