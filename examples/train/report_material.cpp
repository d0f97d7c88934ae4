#include "train/report_material.h"

#include "run/progress.h"
#include "train/drawn_views.h"
#include "train/embedding_map.h"

#include <simclr/core/error.h>
#include <simclr/data/subset.h>
#include <simclr/nn/functional.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

namespace data = simclr::data;
namespace nn = simclr::nn;

namespace {

constexpr int viewed_side = 96, neighbour_side = 64;  // on the page, for its size

/// Some of a data set, and the encoder's features of it: row r is of sample r.
struct Described {
  std::shared_ptr<const data::Dataset> samples;
  nn::Features features;
  int part;  // of the samples, which the features are of
};

Described describe_some(nn::Module& encoder, const std::shared_ptr<const data::Dataset>& all, std::int64_t count,
                        const data::Tower& tower, const EvaluationOptions& evaluation) {
  Described some{data::spread(all, count), {}, tower.part};
  some.features = features_of(encoder, *some.samples, tower, evaluation);
  if (some.features.values.dim(0) == some.samples->size()) return some;
  // features_of() leaves out what cannot be read or used.
  some.samples = data::subset(some.samples, viewed(*some.samples, {&tower, 1}, evaluation.world));
  SIMCLR_CHECK(some.features.values.dim(0) == some.samples->size(), "report: samples changed while they were read");
  return some;
}

bool all_finite(const simclr::Tensor& values) {
  const float* x = values.data<const float>();
  return std::all_of(x, x + values.numel(), [](float v) { return std::isfinite(v); });
}

/// Rows of as many classes as possible, in their order; where there are no labels, rows spread over all.
std::vector<std::int64_t> choose_queries(const std::vector<std::int32_t>& labels, std::int64_t count) {
  const auto n = static_cast<std::int64_t>(labels.size());
  count = std::min(count, n);
  std::vector<std::int64_t> chosen;
  std::set<std::int32_t> seen;
  for (std::int64_t i = 0; i < n && std::ssize(chosen) < count; ++i) {
    const std::int32_t label = labels[static_cast<std::size_t>(i)];
    if (label >= 0 && seen.insert(label).second) chosen.push_back(i);
  }
  for (std::int64_t k = 0; std::ssize(chosen) < count; ++k) {
    const std::int64_t i = k < count ? k * n / count : k - count;
    if (std::find(chosen.begin(), chosen.end(), i) == chosen.end()) chosen.push_back(i);
  }
  std::sort(chosen.begin(), chosen.end(), [&](std::int64_t a, std::int64_t b) {
    return std::pair(labels[static_cast<std::size_t>(a)], a) < std::pair(labels[static_cast<std::size_t>(b)], b);
  });
  return chosen;
}

ShownSample shown_sample(const Modality& modality, const Described& of, std::int64_t row) {
  const data::Sample sample = of.samples->sample(row, of.part);
  return {modality.shown(sample, 0, neighbour_side), sample.label};
}

/// The rows of `known` most like a sample of which `cosine` are the similarities to them all; `left_out`: a row that is
/// the sample itself, or -1.
std::vector<ReportMaterial::Neighbour> nearest(const Modality& modality, const std::vector<double>& cosine,
                                               const Described& known, std::int64_t left_out, std::int64_t count) {
  std::vector<std::pair<double, std::int64_t>> order;  // negative similarities: the highest first, then the lower row
  for (std::int64_t i = 0; i < known.samples->size(); ++i) {
    if (i != left_out) order.emplace_back(-cosine[static_cast<std::size_t>(i)], i);
  }
  count = std::min(count, std::ssize(order));
  std::partial_sort(order.begin(), order.begin() + count, order.end());
  std::vector<ReportMaterial::Neighbour> found;
  for (std::int64_t k = 0; k < count; ++k) {
    const auto [negative, i] = order[static_cast<std::size_t>(k)];
    found.push_back({shown_sample(modality, known, i), -negative});
  }
  return found;
}

std::string some_of(std::int64_t count, std::int64_t all, const std::string& what) {
  return (count < all ? grouped(count) + " of " + grouped(all) : grouped(all)) + " " + what;
}

/// The views that a run with this seed makes of some samples in its first epoch, tower by tower; the samples themselves
/// are shown by the first tower's part.
std::vector<ReportMaterial::Viewed> show_views(const Modality& modality, const data::Dataset& samples,
                                               std::uint64_t seed, std::int64_t count) {
  std::vector<ReportMaterial::Viewed> all;
  for (const DrawnViews& drawn : draw_views(samples, modality.towers(true), seed, count)) {
    ReportMaterial::Viewed& viewed = all.emplace_back(
        ReportMaterial::Viewed{{modality.shown(drawn.sample, 0, viewed_side), drawn.sample.label}, {}});
    for (std::size_t t = 0; t < drawn.towers.size(); ++t) {
      std::vector<Shown>& views = viewed.towers.emplace_back();
      for (const simclr::Tensor& view : drawn.towers[t]) {
        views.push_back(modality.shown_view(view, static_cast<int>(t), viewed_side));
      }
    }
  }
  return all;
}

}  // namespace

ReportMaterial gather_report_material(const Modality& modality, nn::Module& encoder, const Datasets& sets,
                                      std::uint64_t seed, const EvaluationOptions& evaluation,
                                      const MaterialOptions& options) {
  ReportMaterial material;
  material.sample = sets.sample_name;
  material.data = sets.train->describe();
  material.classes = sets.labelled->classes();
  material.viewed = show_views(modality, *sets.train, seed, options.viewed);

  const data::Tower plain = modality.towers(false).front();
  const bool own = !sets.test;  // the samples are asked among themselves
  const Described asked = describe_some(encoder, own ? sets.train : sets.test, options.map_points, plain, evaluation);
  const Described known = own ? asked : describe_some(encoder, sets.labelled, options.compared, plain, evaluation);
  const simclr::Tensor& features = asked.features.values;
  material.features = features.dim(1);
  if (!all_finite(features) || !all_finite(known.features.values)) {
    material.notes.push_back("The features hold NaN or Inf: training diverged, so there are no maps and neighbours.");
    return material;
  }
  const std::string kind = (own ? "training " : "test ") + sets.sample_name + "s";
  material.map_samples = some_of(asked.samples->size(), own ? sets.train->size() : sets.test->size(), kind);
  material.map_labels = asked.features.labels;
  if (features.dim(0) >= 2) {
    material.pca = pca_map(features);
    material.tsne = tsne_map(features, {.seed = seed});
  }
  material.query_samples = kind;
  material.compared_samples =
      some_of(known.samples->size(), sets.labelled->size(), "training " + sets.sample_name + "s");
  const simclr::Tensor exact = known.features.values.to(simclr::DType::f64);
  for (const std::int64_t row : choose_queries(asked.features.labels, options.queries)) {
    const auto cosine = nn::similarity(features.narrow(row, 1).to(simclr::DType::f64), exact).to_vector<double>();
    material.queries.push_back(
        {shown_sample(modality, asked, row), nearest(modality, cosine, known, own ? row : -1, options.neighbours)});
  }
  return material;
}
