#pragma once

#include "modalities/kinds.h"

#include <nlohmann/json.hpp>

#include <memory>
#include <string>

/// One side, 0 or 1, of weights of pairs as the programs see it that take weights. A list that has the columns which
/// the run took, or shards that hold this side's ending, are read as the run read them: of this side the halves, and
/// where they are labelled in the run's parts. All else is for `inner`, the kind that the side is of; but texts in
/// shards are their .txt members where the run's ending is not there. `config` and `run`: of the weights.
std::unique_ptr<Kind> pair_kind(std::unique_ptr<Kind> inner, nlohmann::ordered_json config, int side,
                                const std::string& run);
