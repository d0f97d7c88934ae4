#include "train/monitor.h"

#include "train/drawn_views.h"
#include "train/labelled_part.h"
#include "train/method.h"
#include "train/pair_points.h"
#include "train/shared_work.h"

#include <simclr/core/error.h>
#include <simclr/data/subset.h>
#include <simclr/nn/retrieval.h>

#include <algorithm>
#include <cstdio>
#include <set>

namespace data = simclr::data;
namespace nn = simclr::nn;

namespace {

constexpr std::int64_t most_viewed = 1000;  // each is seen twice

/// Who is asked, and among whom the neighbours are looked for. None of them is a test sample.
struct Questions {
  nn::Features asked, known;
  const char* of = "";  // what the asked ones are
};

/// The group of each of `rows` rows of features_of(*sets.labelled, limit), which leaves out what cannot be read.
std::vector<std::int32_t> groups_of_rows(const Datasets& sets, const data::Tower& tower, std::int64_t limit,
                                         std::int64_t rows, simclr::World* world) {
  const std::int64_t size = sets.labelled->size();
  const std::vector<std::int64_t> seen = data::spread_indices(size, limit > 0 ? limit : size);
  std::vector<std::int32_t> groups;
  for (const std::int64_t i : seen) groups.push_back(sets.groups[static_cast<std::size_t>(i)]);
  if (rows == std::ssize(groups)) return groups;
  std::vector<std::int32_t> left;
  for (const std::int64_t row : viewed(*data::subset(sets.labelled, seen), {&tower, 1}, world)) {
    left.push_back(groups[static_cast<std::size_t>(row)]);
  }
  together(world, [&] { SIMCLR_CHECK(std::ssize(left) == rows, "samples changed while they were read"); });
  return left;
}

/// On what --hold-out keeps; without it the labelled training samples are split, class by class.
std::optional<Questions> questions(const Training& t, const nn::Features& train, const EvaluationOptions& evaluation) {
  const Datasets& sets = t.sets;
  const data::Tower tower = t.modality->towers(false).front();
  const auto features = [&](const data::Dataset& samples) {
    return features_of(t.model->encoder(), samples, tower, evaluation, t.options.knn_samples);
  };
  if (sets.labelled->classes().size() < 2) return std::nullopt;
  const nn::Features all = sets.labelled == sets.train ? train : features(*sets.labelled);
  std::vector<std::int64_t> asked, known;
  if (!sets.held_out && sets.groups.empty()) {
    asked = every_fifth(all.labels);
  } else if (!sets.held_out) {
    asked = fifth_of_groups(
        all.labels, groups_of_rows(sets, tower, t.options.knn_samples, std::ssize(all.labels), evaluation.world));
  }
  for (std::int64_t i = 0; i < std::ssize(all.labels); ++i) {
    const bool labelled = all.labels[static_cast<std::size_t>(i)] >= 0;
    if (labelled && !std::binary_search(asked.begin(), asked.end(), i)) known.push_back(i);
  }
  if (known.empty() || (!sets.held_out && asked.empty())) return std::nullopt;
  if (sets.held_out) return Questions{features(*sets.held_out), rows_of(all, known), "held-out"};
  return Questions{rows_of(all, asked), rows_of(all, known), "training"};
}

struct Across {
  nn::Retrieval found = {};
  std::int64_t groups = 0;  // of pairs that share halves
};

/// How often the first part of a pair finds the second, of those that --hold-out keeps, else of training pairs.
Across found_across(const Training& t, const EvaluationOptions& evaluation) {
  const PairPoints pairs = pair_points(*t.modality, *t.model, t.sets.held_out ? t.sets.held_out : t.sets.train,
                                       std::min(t.options.knn_samples, most_viewed), evaluation);
  const std::vector<std::int32_t> groups = pairs.groups();
  Across across{.groups = std::ssize(std::set<std::int32_t>(groups.begin(), groups.end()))};
  together(evaluation.world,
           [&] { across.found = nn::retrieval(pairs.z[0], pairs.z[1], groups, groups, {.poll = evaluation.poll}); });
  return across;
}

struct Measured {
  nlohmann::ordered_json entry;  // of the log
  std::string line, warning;
  std::optional<double> score;  // by which the best checkpoint is chosen
};

Measured measure(const Training& t, const EvaluationOptions& evaluation, int epoch) {
  const TrainingOptions& o = t.options;
  const auto train =
      features_of(t.model->encoder(), *t.sets.train, t.modality->towers(false).front(), evaluation, o.knn_samples);
  const ViewsOnSphere views = views_on_sphere(t.model->encoder(), *t.sets.train, t.modality->towers(true).front(),
                                              evaluation, std::min(o.knn_samples, most_viewed));
  const auto q = questions(t, train, evaluation);
  simclr::Tensor scores;
  if (q) {
    const auto classes = static_cast<std::int64_t>(t.sets.labelled->classes().size());
    scores = knn_scores(q->known, q->asked.values, classes, evaluation);
  }
  nn::CollapseReport collapse;
  Measured m;
  together(evaluation.world, [&] {
    collapse = judged(nn::check_collapse(train.values), o.recipe);
    if (q) m.score = nn::compute_metrics(scores, q->asked.labels).top1;
  });
  m.entry = {{"event", "knn"},
             {"epoch", epoch},
             {"effective_rank", collapse.effective_rank},
             {"mean_std", collapse.mean_std},
             {"collapsed", collapse.collapsed},
             {"alignment", views.alignment},
             {"uniformity", views.uniformity}};
  if (collapse.collapsed) m.warning = collapse.message;
  char text[160];
  if (q) {
    m.entry["top1"] = *m.score;
    m.entry["samples"] = q->of;
    std::snprintf(text, sizeof text, "kNN %.2f %% on %zu %s samples by %zu others, ", 100 * *m.score,
                  q->asked.labels.size(), q->of, q->known.labels.size());
    m.line = text;
  }
  if (t.model->towers() == 2) {
    const auto [found, groups] = found_across(t, evaluation);
    m.entry["retrieval"] = {{"r1", found.r1}, {"r10", found.r10}, {"candidates", found.candidates}, {"groups", groups}};
    if (!m.score) m.score = found.r1;
    const std::string of_groups =
        groups < found.candidates ? " in " + std::to_string(groups) + " groups that share halves" : "";
    std::snprintf(text, sizeof text, "R@1 %.2f %% of %lld %s pairs%s, ", 100 * found.r1,
                  static_cast<long long>(found.candidates), t.sets.held_out ? "held-out" : "training",
                  of_groups.c_str());
    m.line += text;
  }
  std::snprintf(text, sizeof text, "effective rank %.1f of %lld, spread %.2f, alignment %.2f, uniformity %.2f",
                collapse.effective_rank, static_cast<long long>(train.values.dim(1)), collapse.mean_std,
                views.alignment, views.uniformity);
  m.line += text;
  return m;
}

}  // namespace

std::optional<double> monitor(const Training& t, const EvaluationOptions& evaluation, int epoch, RunFolder& run,
                              Progress& progress) {
  const std::string opening = "epoch " + std::to_string(epoch) + ": ";
  Measured m;
  const std::string problem = problem_of(evaluation.world, [&] { m = measure(t, evaluation, epoch); });
  if (!problem.empty()) {  // the training is none the worse
    if (t.world->rank() == 0) progress.warn(opening + "not measured: " + problem);
    return std::nullopt;
  }
  progress.message(opening + m.line);
  if (!m.warning.empty()) progress.message("warning: " + m.warning);
  run.log(m.entry);
  return m.score;
}
