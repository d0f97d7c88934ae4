#include <simclr/kernels/shared/check.h>
#include <simclr/nn/metrics.h>

#include <algorithm>
#include <cmath>

namespace simclr::nn {
namespace {

double share(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0.0;
}

/// How many classes rank before the true one.
std::int64_t rank_of(const double* scores, std::int64_t classes, std::int64_t label) {
  std::int64_t before = 0;
  for (std::int64_t k = 0; k < classes; ++k) {
    before += scores[k] > scores[label] || (scores[k] == scores[label] && k < label);
  }
  return before;
}

}  // namespace

Metrics compute_metrics(const Tensor& scores, const std::vector<std::int32_t>& labels) {
  kernels::check_floats("metrics", scores);
  kernels::check_rank("metrics", "scores", scores, 2);
  Metrics metrics;
  metrics.count = scores.dim(0);
  metrics.classes = scores.dim(1);
  const std::int64_t classes = metrics.classes;
  SIMCLR_CHECK(metrics.count > 0 && classes > 0, "metrics: scores are ", scores.shape(),
               "; at least one row and one class are needed");
  SIMCLR_CHECK(static_cast<std::int64_t>(labels.size()) == metrics.count, "metrics: ", labels.size(), " labels for ",
               metrics.count, " rows of scores");

  const auto values = scores.to_vector<double>();
  if (classes <= most_confusion_classes) metrics.confusion.assign(static_cast<std::size_t>(classes * classes), 0);
  std::vector<std::int64_t> right(static_cast<std::size_t>(classes)), taken_for = right;
  metrics.support = right;
  std::int64_t first = 0, among_five = 0;
  for (std::int64_t i = 0; i < metrics.count; ++i) {
    const double* row = values.data() + i * classes;
    const std::int64_t label = labels[static_cast<std::size_t>(i)];
    SIMCLR_CHECK(label >= 0 && label < classes, "metrics: row ", i, " has label ", label, ", outside 0..", classes - 1,
                 label < 0 ? " (unlabelled); measure labelled samples only" : "");
    SIMCLR_CHECK(std::none_of(row, row + classes, [](double s) { return std::isnan(s); }), "metrics: row ", i,
                 " has a NaN score; the model or the probe diverged");
    const std::int64_t rank = rank_of(row, classes, label);
    first += rank == 0;
    among_five += rank < 5;
    const std::int64_t predicted = std::max_element(row, row + classes) - row;  // the first of equals
    right[static_cast<std::size_t>(label)] += predicted == label ? 1 : 0;
    ++taken_for[static_cast<std::size_t>(predicted)];
    ++metrics.support[static_cast<std::size_t>(label)];
    if (!metrics.confusion.empty()) ++metrics.confusion[static_cast<std::size_t>(label * classes + predicted)];
  }
  metrics.top1 = share(first, metrics.count);
  metrics.top5 = share(among_five, metrics.count);

  std::int64_t occurring = 0;
  for (std::size_t k = 0; k < right.size(); ++k) {
    const std::int64_t truly = metrics.support[k];
    metrics.precision.push_back(share(right[k], taken_for[k]));
    metrics.recall.push_back(share(right[k], truly));
    metrics.f1.push_back(share(2 * right[k], truly + taken_for[k]));  // TP + FN + TP + FP
    if (truly == 0) continue;
    ++occurring;
    metrics.macro_precision += metrics.precision.back();
    metrics.macro_recall += metrics.recall.back();
    metrics.macro_f1 += metrics.f1.back();
  }
  const double n = static_cast<double>(occurring);
  metrics.macro_precision /= n;
  metrics.macro_recall /= n;
  metrics.macro_f1 /= n;
  return metrics;
}

}  // namespace simclr::nn
