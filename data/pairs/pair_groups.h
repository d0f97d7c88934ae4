#pragma once

// Private: pairs that share a half.

#include <simclr/data/pairs/pair_list.h>

namespace simclr::data {

/// Gives pairs and halves their groups; see PairList::groups.
void join_groups(PairList& list);

}  // namespace simclr::data
