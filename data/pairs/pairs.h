#pragma once

#include <simclr/data/dataset.h>
#include <simclr/data/pairs/pair_list.h>

#include <array>
#include <memory>

namespace simclr::data {

/// The halves of one side, as data sets of one part: sample i is half i of the list.
using PairHalves = std::array<std::shared_ptr<const Dataset>, 2>;

/// Pairs as samples of two parts: part p of sample i is what side p has for pair i, with the list's labels, classes and
/// groups. Throws Error where a side has another number of halves than the list. A half that cannot be read throws from
/// sample().
SIMCLR_API std::unique_ptr<Dataset> pair_dataset(PairList list, PairHalves sides);

}  // namespace simclr::data
