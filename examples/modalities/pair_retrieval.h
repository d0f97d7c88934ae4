#pragma once

#include "train/modality.h"

#include <simclr/data/loader.h>
#include <simclr/data/pairs/pair_list.h>
#include <simclr/data/pairs/pairs.h>

#include <array>
#include <cstdint>

/// What the two sides of pairs are looked for among.
struct PairGallery {
  simclr::data::PairList candidates;
  std::array<std::int64_t, 2> asked = {};     // of each side: its first halves, so many, are asked for
  simclr::data::PairHalves halves;            // the files
  std::array<simclr::data::Tower, 2> towers;  // of views without randomness, of part 0
};

/// R@1, R@5 and R@10 from each side to the other, of the trained and the untrained model and by chance; where both
/// sides share an encoder, of its features without the heads, too ("encoder"), and where their views have one shape, of
/// the views themselves ("raw": the correlation of their values). Halves that cannot be read are left out, and what is
/// asked for in vain then is counted.
OwnEvaluation measure_retrieval(const PairGallery& gallery, simclr::nn::Model& trained, simclr::nn::Model& untrained,
                                const EvaluationOptions& options);
