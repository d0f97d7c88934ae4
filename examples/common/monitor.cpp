#include "common/monitor.h"

#include <cstdio>

namespace nn = simclr::nn;

std::optional<double> monitor(const Training& t, const EvaluationOptions& evaluation, int epoch, RunFolder& run,
                              Progress& progress) {
  const TrainingOptions& o = t.options;
  const auto train = features_of(t.model->encoder(), *t.sets.train, o.recipe.augmentation, evaluation, o.knn_samples);
  const nn::CollapseReport collapse = nn::check_collapse(train.values);
  nlohmann::ordered_json entry = {
      {"event", "knn"}, {"epoch", epoch}, {"effective_rank", collapse.effective_rank}, {"mean_std", collapse.mean_std}};
  std::string line = "epoch " + std::to_string(epoch) + ": ";
  std::optional<double> top1;
  if (t.sets.test) {
    const auto test = features_of(t.model->encoder(), *t.sets.test, o.recipe.augmentation, evaluation, o.knn_samples);
    const auto classes = static_cast<std::int64_t>(t.sets.train->classes().size());
    const auto scores = nn::knn_scores(train, test.values, classes, evaluation.knn);
    top1 = nn::compute_metrics(scores, test.labels).top1;
    entry["top1"] = *top1;
    char text[64];
    std::snprintf(text, sizeof text, "kNN %.2f %% on %lld samples, ", 100 * *top1,
                  static_cast<long long>(test.labels.size()));
    line += text;
  }
  char text[96];
  std::snprintf(text, sizeof text, "effective rank %.1f of %lld, spread %.2f", collapse.effective_rank,
                static_cast<long long>(train.values.dim(1)), collapse.mean_std);
  progress.message(line + text);
  if (collapse.collapsed) progress.message("warning: " + collapse.message);
  run.log(entry);
  return top1;
}
