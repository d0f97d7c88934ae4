#include "modalities/baseline.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

namespace data = simclr::data;
namespace nn = simclr::nn;

namespace {

struct Part {
  nn::Features features = {};
  std::int64_t unread = 0;
};

/// `progress`: is told of each sample.
Part part_of(const data::Dataset& samples, const Datasets& sets, const EvaluationOptions& options,
             const std::function<std::vector<float>(const data::Dataset&, std::int64_t)>& features,
             const std::function<void()>& progress) {
  std::vector<float> values;
  Part part;
  std::int64_t width = 0;
  std::string first;
  for (std::int64_t i = 0; i < samples.size(); ++i) {
    progress();
    if (samples.label(i) < 0) continue;
    try {
      const std::vector<float> row = features(samples, i);
      width = std::ssize(row);
      values.insert(values.end(), row.begin(), row.end());
      part.features.labels.push_back(samples.label(i));
    } catch (const simclr::Error& error) {
      if (part.unread++ == 0) first = error.what();
      if (options.on_warning) options.on_warning(error.what());
    }
  }
  const std::int64_t rows = std::ssize(part.features.labels);
  SIMCLR_CHECK(rows > 0, "--baseline: none of ", simclr::counted(part.unread, sets.sample_name), " can be read",
               first.empty() ? "" : "; the first: ", first);
  part.features.values = simclr::Tensor::from(values, {rows, width});
  return part;
}

}  // namespace

Baseline baseline_of(const std::string& name, const Datasets& sets, const EvaluationOptions& options,
                     const std::function<std::vector<float>(const data::Dataset&, std::int64_t)>& features) {
  std::int64_t done = 0;
  const std::int64_t total = sets.labelled->size() + sets.test->size();
  const auto progress = [&] {
    if (options.on_progress) options.on_progress(++done, total);
  };
  Part train = part_of(*sets.labelled, sets, options, features, progress);
  Part test = part_of(*sets.test, sets, options, features, progress);
  return {name, std::move(train.features), std::move(test.features), train.unread, test.unread};
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
