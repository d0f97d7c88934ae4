#pragma once

#include "train/datasets.h"
#include "train/evaluation.h"

#include <simclr/nn/evaluate.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

/// What a method without an encoder makes of samples.
struct Baseline {
  std::string name;                                // "TF-IDF"
  simclr::nn::Features train, test;                // f32 [N,D], a row a sample
  std::int64_t unread_train = 0, unread_test = 0;  // samples that are left out
};

/// By what `features` make of sample i of a set, values of one length: of the labelled ones and of the test part, each
/// without those that have no label. Samples that cannot be read are left out, told to options.on_warning and counted.
/// Throws simclr::Error where none of a part is left.
Baseline baseline_of(const std::string& name, const Datasets& sets, const EvaluationOptions& options,
                     const std::function<std::vector<float>(const simclr::data::Dataset&, std::int64_t)>& features);

/// Mean and deviation (of N, not of N - 1) over time of so many values.
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
