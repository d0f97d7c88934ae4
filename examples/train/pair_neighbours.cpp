#include "train/pair_neighbours.h"

#include "run/progress.h"
#include "train/pair_points.h"

#include <simclr/nn/functional.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

namespace data = simclr::data;
namespace nn = simclr::nn;
using simclr::Tensor;

namespace {

constexpr int side = 64;  // on the page

bool all_finite(const Tensor& values) {
  const float* x = values.data<const float>();
  return std::all_of(x, x + values.numel(), [](float v) { return std::isfinite(v); });
}

ShownSample shown_half(const Modality& modality, const PairPoints& of, std::int64_t row, int tower) {
  const data::Sample half = of.samples->sample(row, of.towers[static_cast<std::size_t>(tower)].part);
  return {modality.shown(half, tower, side), half.label};
}

ReportMaterial::Query ask(const Modality& modality, const PairPoints& seen, std::int64_t row, int from,
                          std::int64_t count) {
  const auto at = static_cast<std::size_t>(from);
  const auto cosine = nn::similarity(seen.z[at].narrow(row, 1), seen.z[1 - at]).to_vector<float>();
  std::vector<std::pair<float, std::int64_t>> order;  // negative similarities: the highest first, then the lower row
  for (std::size_t i = 0; i < cosine.size(); ++i) order.emplace_back(-cosine[i], static_cast<std::int64_t>(i));
  std::sort(order.begin(), order.end());
  ReportMaterial::Query query{shown_half(modality, seen, row, from), {}};
  std::set<std::int32_t> shown;
  const std::vector<std::int32_t> groups = seen.groups();
  for (const auto& [negative, i] : order) {
    if (std::ssize(query.neighbours) == count) break;
    const std::int32_t group = groups[static_cast<std::size_t>(i)];
    if (!shown.insert(group).second) continue;
    query.neighbours.push_back(
        {shown_half(modality, seen, i, 1 - from), -double{negative}, group == groups[static_cast<std::size_t>(row)]});
  }
  return query;
}

}  // namespace

void add_pair_neighbours(ReportMaterial& material, const Modality& modality, nn::Model& model, const Datasets& sets,
                         const EvaluationOptions& evaluation, const MaterialOptions& options) {
  const std::shared_ptr<const data::Dataset> all = sets.test ? sets.test : sets.train;
  const PairPoints seen = pair_points(modality, model, all, options.compared, evaluation);
  material.queries.clear();
  if (!all_finite(seen.z[0]) || !all_finite(seen.z[1])) return;  // the report says that the features are not
  material.across = true;
  material.query_samples = (sets.test ? "test " : "training ") + sets.sample_name + "s";
  material.compared_samples = grouped(seen.samples->size()) + " of " + grouped(all->size());
  const std::int64_t n = seen.samples->size(), count = std::min(options.queries, n);
  for (std::int64_t k = 0; k < count; ++k) {
    material.queries.push_back(ask(modality, seen, k * n / count, static_cast<int>(k % 2), options.neighbours));
  }
}
