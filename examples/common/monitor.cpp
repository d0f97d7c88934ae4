#include "common/monitor.h"

#include <algorithm>
#include <cstdio>

namespace nn = simclr::nn;

namespace {

constexpr std::int64_t most_view_pictures = 1000;  // each is seen twice

}  // namespace

std::optional<double> monitor(const Training& t, const EvaluationOptions& evaluation, int epoch, RunFolder& run,
                              Progress& progress) {
  const TrainingOptions& o = t.options;
  const auto train = features_of(t.model->encoder(), *t.sets.train, o.recipe.augmentation, evaluation, o.knn_samples);
  const nn::CollapseReport collapse = nn::check_collapse(train.values);
  const ViewsOnSphere views = views_on_sphere(t.model->encoder(), *t.sets.train, o.recipe.augmentation, evaluation,
                                              std::min(o.knn_samples, most_view_pictures));
  nlohmann::ordered_json entry = {{"event", "knn"},
                                  {"epoch", epoch},
                                  {"effective_rank", collapse.effective_rank},
                                  {"mean_std", collapse.mean_std},
                                  {"collapsed", collapse.collapsed},
                                  {"alignment", views.alignment},
                                  {"uniformity", views.uniformity}};
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
  char text[160];
  std::snprintf(text, sizeof text, "effective rank %.1f of %lld, spread %.2f, alignment %.2f, uniformity %.2f",
                collapse.effective_rank, static_cast<long long>(train.values.dim(1)), collapse.mean_std,
                views.alignment, views.uniformity);
  progress.message(line + text);
  if (collapse.collapsed) progress.message("warning: " + collapse.message);
  run.log(entry);
  return top1;
}
