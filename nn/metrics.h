#pragma once

#include <simclr/core/tensor.h>

#include <vector>

namespace simclr::nn {

/// Of more classes there is no confusion matrix, whose size is their square.
inline constexpr std::int64_t most_confusion_classes = 500;

/// What a classifier's scores are worth. Shares are 0..1.
struct Metrics {
  double top1 = 0;  // the true class has the highest score
  double top5 = 0;  // it is among the 5 highest, or among all where there are fewer classes
  // For each class. Precision is 0 where the class is never predicted, recall 0 where it never occurs, F1 is
  // 2 TP / (2 TP + FP + FN), 0 where that is 0 / 0.
  std::vector<double> precision, recall, f1;
  // Plain means over the classes that occur among the labels; others are left out.
  double macro_precision = 0, macro_recall = 0, macro_f1 = 0;
  /// [classes,classes], row = true class, column = predicted class; empty above most_confusion_classes.
  std::vector<std::int64_t> confusion;
  std::vector<std::int64_t> support;  // rows of each class
  std::int64_t count = 0;             // rows
  std::int64_t classes = 0;
};

/// Metrics of scores [N,classes], f32 or f64 (higher is likelier), against labels in 0..classes-1. Of equal scores the
/// lower class ranks first. Throws Error where there are no rows, for a label out of range (-1: unlabelled) and for a
/// NaN score.
SIMCLR_API Metrics compute_metrics(const Tensor& scores, const std::vector<std::int32_t>& labels);

}  // namespace simclr::nn
