#include "modalities/pair_retrieval.h"

#include "train/shared_work.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/nn/retrieval.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace data = simclr::data;
namespace nn = simclr::nn;
using nlohmann::ordered_json;
using simclr::Tensor;

namespace {

/// What stands for the halves of one side that can be read.
struct Points {
  Tensor values;                     // [N,F]
  std::vector<std::int32_t> halves;  // [N], which they are of
};

/// Both sides'.
using Sides = std::array<Points, 2>;

/// The values of a view, their mean taken off: cosines of these are correlations.
class Centred final : public nn::Module {
 public:
  Tensor forward(const simclr::Input& input) override {
    const std::int64_t rows = input.rows(), width = input.x.numel() / rows;
    Tensor y = input.x.detach().reshape({rows, width}).clone();
    for (std::int64_t i = 0; i < rows; ++i) {
      float* x = y.data<float>() + i * width;
      double sum = 0;
      for (std::int64_t k = 0; k < width; ++k) sum += double{x[k]};
      const auto mean = static_cast<float>(sum / static_cast<double>(width));
      for (std::int64_t k = 0; k < width; ++k) x[k] -= mean;
    }
    return y;
  }
};

Points points_of(nn::Module& module, const PairGallery& g, int side, const EvaluationOptions& options) {
  const auto at = static_cast<std::size_t>(side);
  nn::Features features = features_of(module, *g.halves[at], g.towers[at], options);
  return {features.values, std::move(features.labels)};
}

Sides by_towers(nn::Model& model, const PairGallery& g, const EvaluationOptions& options) {
  return {points_of(model.tower(0), g, 0, options), points_of(model.tower(1), g, 1, options)};
}

/// By an encoder that both sides share, without their heads. Empty: each has its own, and two spaces compare only
/// behind the heads that were trained to.
std::optional<Sides> by_encoder(nn::Model& model, const PairGallery& g, const EvaluationOptions& options) {
  if (&model.encoder(0) != &model.encoder(1)) return std::nullopt;
  return Sides{points_of(model.encoder(0), g, 0, options), points_of(model.encoder(0), g, 1, options)};
}

/// Empty: views of the two sides cannot be compared.
std::optional<Sides> by_views(const PairGallery& g, const EvaluationOptions& options) {
  const data::ViewMaker &first = *g.towers[0].maker, &second = *g.towers[1].maker;
  const bool alike = first.view_shape() == second.view_shape() && first.view_dtype() == simclr::DType::f32 &&
                     second.view_dtype() == simclr::DType::f32;
  if (!alike) return std::nullopt;
  Centred views;
  return Sides{points_of(views, g, 0, options), points_of(views, g, 1, options)};
}

/// From side `from` to the other; `in_vain` counts the queries that are left out, whose other halves are.
nn::Retrieval retrieve(const PairGallery& g, const Sides& sides, int from, const EvaluationOptions& options,
                       std::int64_t& in_vain) {
  const auto a = static_cast<std::size_t>(from), b = 1 - a;
  std::vector<std::int32_t> among, asked;
  for (const std::int32_t half : sides[b].halves) {
    among.push_back(g.candidates.sides[b].groups[static_cast<std::size_t>(half)]);
  }
  const std::set<std::int32_t> there(among.begin(), among.end());
  std::vector<std::int64_t> rows;
  in_vain = 0;
  for (std::size_t i = 0; i < sides[a].halves.size(); ++i) {
    if (sides[a].halves[i] >= g.asked[a]) continue;
    const std::int32_t group = g.candidates.sides[a].groups[static_cast<std::size_t>(sides[a].halves[i])];
    if (!there.contains(group)) {
      ++in_vain;
      continue;
    }
    rows.push_back(static_cast<std::int64_t>(i));
    asked.push_back(group);
  }
  nn::Retrieval found;
  together(options.world, [&] {
    SIMCLR_CHECK(!rows.empty(), "retrieval: of no test pair both halves can be read");
    const nn::Features queries = rows_of({sides[a].values, sides[a].halves}, rows);
    found = nn::retrieval(queries.values, sides[b].values, asked, among, {.poll = options.poll});
  });
  return found;
}

ordered_json shares(double r1, double r5, double r10) {
  return {{"r1", r1}, {"r5", r5}, {"r10", r10}};
}

ordered_json to_json(const nn::Retrieval& r) {
  ordered_json json = shares(r.r1, r.r5, r.r10);
  json["median_rank"] = r.median_rank;
  return json;
}

/// Of one direction.
std::string rows_of_table(const std::string& direction, const ordered_json& figures) {
  std::string text =
      "  " + direction + ", " + figures.at("queries").dump() + " among " + figures.at("candidates").dump() + "\n";
  for (const auto& [key, name] : {std::pair("r1", "R@1"), std::pair("r5", "R@5"), std::pair("r10", "R@10")}) {
    char row[96];
    std::snprintf(row, sizeof row, "  %-24s", name);
    text += row;
    for (const char* of : {"trained", "encoder", "untrained", "raw", "chance"}) {
      if (!figures.contains(of)) continue;
      std::snprintf(row, sizeof row, " %10.2f", 100 * figures.at(of).at(key).get<double>());
      text += row;
    }
    text += '\n';
  }
  return text;
}

}  // namespace

OwnEvaluation measure_retrieval(const PairGallery& g, nn::Model& trained, nn::Model& untrained,
                                const EvaluationOptions& options) {
  const Sides after = by_towers(trained, g, options), before = by_towers(untrained, g, options);
  const std::optional<Sides> shared = by_encoder(trained, g, options), raw = by_views(g, options);
  OwnEvaluation result;
  result.table = std::string("  retrieval, %                trained") + (shared ? "    encoder" : "") + "  untrained" +
                 (raw ? "        raw" : "") + "     chance\n";
  ordered_json all = ordered_json::object();
  for (int from = 0; from < 2; ++from) {
    const auto a = static_cast<std::size_t>(from);
    std::int64_t in_vain = 0;
    const nn::Retrieval found = retrieve(g, after, from, options, in_vain);
    ordered_json figures = {{"queries", found.queries}, {"candidates", found.candidates}, {"trained", to_json(found)}};
    if (shared) figures["encoder"] = to_json(retrieve(g, *shared, from, options, in_vain));
    figures["untrained"] = to_json(retrieve(g, before, from, options, in_vain));
    if (raw) figures["raw"] = to_json(retrieve(g, *raw, from, options, in_vain));
    figures["chance"] = shares(found.chance1, found.chance5, found.chance10);
    const std::string direction =
        simclr::printable(g.candidates.sides[a].column + " -> " + g.candidates.sides[1 - a].column);
    result.table += rows_of_table(direction, figures);
    if (in_vain > 0) {
      result.table += "  left out: " + std::to_string(in_vain) + " whose other half cannot be read\n";
    }
    all[direction] = std::move(figures);
  }
  result.figures["retrieval"] = std::move(all);
  return result;
}
