#pragma once

#include "train/evaluation.h"
#include "train/modality.h"

#include <simclr/nn/model.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

/// Pairs, and what both towers of a model make of them: row r of each is of sample r.
struct PairPoints {
  std::shared_ptr<const simclr::data::Dataset> samples;
  std::vector<simclr::data::Tower> towers;  // of views without randomness
  std::array<simclr::Tensor, 2> z = {};     // [N,D] f32 on the CPU, behind the projection heads

  /// The data set's, or where it has none a group a sample.
  std::vector<std::int32_t> groups() const;
};

/// Of up to `most` pairs, spread over all; those of which a part cannot be read or used are left out. Throws
/// simclr::Error where none is left.
PairPoints pair_points(const Modality& modality, simclr::nn::Model& model,
                       const std::shared_ptr<const simclr::data::Dataset>& all, std::int64_t most,
                       const EvaluationOptions& evaluation);
