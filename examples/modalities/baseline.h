#pragma once

#include "train/datasets.h"

#include <simclr/nn/evaluate.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

/// What a method without an encoder makes of samples.
struct Baseline {
  std::string name;  // "TF-IDF"
  simclr::nn::Features train, test;
};

/// By what `features` make of sample i of a set: of the labelled ones, whose label is known, and of the test part.
/// Samples that cannot be read are left out.
Baseline baseline_of(const std::string& name, const Datasets& sets,
                     const std::function<std::vector<float>(const simclr::data::Dataset&, std::int64_t)>& features);

/// Mean and deviation over time of so many values.
class SeriesStatistics {
 public:
  explicit SeriesStatistics(std::size_t count) : sums_(count), squares_(count) {}

  void add(std::span<const double> values);
  /// The means, and behind them the deviations; 0 of nothing.
  std::vector<float> values() const;

 private:
  double steps_ = 0;
  std::vector<double> sums_, squares_;
};
