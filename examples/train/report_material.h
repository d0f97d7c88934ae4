#pragma once

#include "run/report_material.h"
#include "train/datasets.h"
#include "train/evaluation.h"
#include "train/modality.h"

#include <cstdint>

/// How much a report shows. Time goes into the features of map_points + compared samples, and into the map.
struct MaterialOptions {
  std::int64_t viewed = 8;         // samples whose views are shown
  std::int64_t queries = 8;        // samples whose neighbours are
  std::int64_t neighbours = 8;     // of each
  std::int64_t map_points = 2000;  // test samples; training samples where there is no test set
  std::int64_t compared = 5000;    // training samples among which neighbours are looked for
};

/// What a report shows of a trained encoder: the views that a run with this seed makes of some samples in its first
/// epoch, maps of features, and nearest neighbours. Samples that cannot be read are left out; where features hold NaN
/// or Inf, maps and neighbours stay empty and a note says so.
ReportMaterial gather_report_material(const Modality& modality, simclr::nn::Module& encoder, const Datasets& sets,
                                      std::uint64_t seed, const EvaluationOptions& evaluation,
                                      const MaterialOptions& options = {});
