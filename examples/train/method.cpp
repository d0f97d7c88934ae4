#include "train/method.h"

#include "run/progress.h"
#include "train/labelled_part.h"
#include "train/training.h"

#include <simclr/core/error.h>
#include <simclr/nn/supervised.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <utility>

namespace data = simclr::data;
namespace nn = simclr::nn;

namespace {

/// Samples whose groups are their labels, of which each has one.
class Labelled final : public data::Dataset {
 public:
  Labelled(std::shared_ptr<const data::Dataset> samples, std::vector<std::int32_t> labels)
      : samples_(std::move(samples)), labels_(std::move(labels)) {}

  std::int64_t size() const override { return samples_->size(); }
  data::Sample sample(std::int64_t i, int part) const override { return samples_->sample(i, part); }
  int parts() const override { return samples_->parts(); }
  std::int32_t label(std::int64_t i) const override { return samples_->label(i); }
  const std::vector<std::int32_t>& groups() const override { return labels_; }
  const std::vector<std::string>& classes() const override { return samples_->classes(); }
  std::string file(std::int64_t i) const override { return samples_->file(i); }
  std::string place(std::int64_t i) const override { return samples_->place(i); }
  std::string describe() const override { return samples_->describe(); }

 private:
  std::shared_ptr<const data::Dataset> samples_;
  std::vector<std::int32_t> labels_;
};

bool is_supervised(const Recipe& recipe) {
  return recipe.method == "supervised";
}

}  // namespace

bool takes_labels(const Recipe& recipe) {
  return recipe.method != "simclr";
}

std::unique_ptr<nn::Model> make_own_model(const TrainingOptions& o, std::shared_ptr<nn::Module> encoder, int views) {
  if (!is_supervised(o.recipe)) return make_simclr(o, std::move(encoder), views);
  return std::make_unique<nn::Supervised>(
      nn::SupervisedOptions{.encoder = std::move(encoder), .classes = o.classes, .seed = o.seed});
}

int trained_views(const Recipe& recipe) {
  return is_supervised(recipe) ? 1 : 0;
}

std::vector<data::Tower> trained_towers(const Modality& modality, int views) {
  std::vector<data::Tower> towers = modality.towers(true);
  if (views > 0) towers.front().views = views;
  return towers;
}

nn::CollapseReport judged(nn::CollapseReport report, const Recipe& recipe) {
  constexpr double least_spread = 0.01;  // below it all features are one point, or hold NaN: nn/collapse.cpp
  if (!takes_labels(recipe) || !report.collapsed || report.mean_std < least_spread) return report;
  char text[96];
  std::snprintf(text, sizeof text, "features are spread, over few directions: effective rank %.2f, spread %.2f",
                report.effective_rank, report.mean_std);
  report.collapsed = false;
  report.message = text;
  return report;
}

std::shared_ptr<const data::Dataset> trained_samples(const Datasets& sets, TrainingOptions& o) {
  o.classes = 0;
  if (!takes_labels(o.recipe)) return sets.train;
  const std::string opening = "--method " + o.recipe.method + ": ", otherwise = ", or train with --method simclr";
  std::vector<std::int32_t> labels = labels_of(*sets.train);
  const auto unlabelled = std::count_if(labels.begin(), labels.end(), [](std::int32_t label) { return label < 0; });
  const auto size = std::ssize(labels);
  SIMCLR_CHECK(unlabelled < size, opening, "none of the ", grouped(size), " training ", sets.sample_name,
               "s has a label; give data with labels", otherwise);
  SIMCLR_CHECK(unlabelled == 0, opening, grouped(unlabelled), " of the ", grouped(size), " training ", sets.sample_name,
               unlabelled == 1 ? "s has" : "s have", " no label; leave them out of the data", otherwise);
  const auto classes = std::ssize(std::set<std::int32_t>(labels.begin(), labels.end()));
  SIMCLR_CHECK(classes >= 2, opening, "all training ", sets.sample_name,
               "s are of one class; give data with two or more", otherwise);
  o.classes = std::ssize(sets.train->classes());
  return std::make_shared<Labelled>(sets.train, std::move(labels));
}
