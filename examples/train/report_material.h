#pragma once

#include "modalities/datasets.h"
#include "report/report.h"
#include "train/evaluation.h"

#include <simclr/data/pictures/augmentation.h>

#include <cstdint>

/// How much a report shows. Time goes into the features of map_points + compared pictures, and into the map.
struct MaterialOptions {
  std::int64_t viewed = 8;         // pictures whose views are shown
  std::int64_t queries = 8;        // pictures whose neighbours are
  std::int64_t neighbours = 8;     // of each
  std::int64_t map_points = 2000;  // test pictures; training pictures where there is no test set
  std::int64_t compared = 5000;    // training pictures among which neighbours are looked for
};

/// Some pictures, spread over the samples, and the views that a run with this policy and seed makes of them in its
/// first epoch. Those that cannot be read are left out.
std::vector<ReportMaterial::Viewed> make_views(const simclr::data::Dataset& samples,
                                               const simclr::data::Augmentation& policy, std::uint64_t seed,
                                               std::int64_t count);

/// What a report shows of a trained encoder: the views that a run with this policy and seed makes of some pictures,
/// maps of features, and nearest neighbours. Pictures that cannot be read are left out; where features hold NaN or Inf,
/// maps and neighbours stay empty and a note says so.
ReportMaterial gather_report_material(simclr::nn::Module& encoder, const Datasets& sets,
                                      const simclr::data::Augmentation& policy, std::uint64_t seed,
                                      const EvaluationOptions& evaluation, const MaterialOptions& options = {});
