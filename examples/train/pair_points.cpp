#include "train/pair_points.h"

#include "train/drawn_views.h"
#include "train/shared_work.h"

#include <simclr/core/error.h>
#include <simclr/data/subset.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace data = simclr::data;
namespace nn = simclr::nn;

namespace {

void look(PairPoints& points, nn::Model& model, const EvaluationOptions& evaluation) {
  for (int t = 0; t < 2; ++t) {
    const auto at = static_cast<std::size_t>(t);
    points.z[at] = features_of(model.tower(t), *points.samples, points.towers[at], evaluation).values;
  }
}

/// features_of() leaves out what cannot be read or used: the rows are then of others.
bool aligned(const PairPoints& points) {
  return std::all_of(points.z.begin(), points.z.end(),
                     [&](const simclr::Tensor& z) { return z.dim(0) == points.samples->size(); });
}

}  // namespace

std::vector<std::int32_t> PairPoints::groups() const {
  if (!samples->groups().empty()) return samples->groups();
  std::vector<std::int32_t> own(static_cast<std::size_t>(samples->size()));
  std::iota(own.begin(), own.end(), 0);
  return own;
}

PairPoints pair_points(const Modality& modality, nn::Model& model, const std::shared_ptr<const data::Dataset>& all,
                       std::int64_t most, const EvaluationOptions& evaluation) {
  PairPoints points{data::spread(all, most), modality.towers(false)};
  look(points, model, evaluation);
  if (aligned(points)) return points;
  std::vector<std::int64_t> whole = viewed(*points.samples, points.towers, evaluation.world);
  together(evaluation.world, [&] {
    SIMCLR_CHECK(!whole.empty(), "of no pair of ", all->describe(), " both parts can be read");
    points.samples = data::subset(points.samples, std::move(whole));
  });
  look(points, model, evaluation);
  together(evaluation.world, [&] { SIMCLR_CHECK(aligned(points), "samples changed while they were read"); });
  return points;
}
