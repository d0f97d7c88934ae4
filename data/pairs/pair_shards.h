#pragma once

#include <simclr/core/export.h>
#include <simclr/data/pairs/pair_list.h>
#include <simclr/data/shards.h>

#include <memory>
#include <string>

namespace simclr::data {

/// The pairs in tar shards: of each sample two members, "7.jpg" and "7.wav" say, or "7.left.png" and "7.right.png".
/// `columns` names their endings, "jpg,wav"; empty: the first two that are halves by their names, in the order of the
/// first hundred samples. Members "7.txt" are texts, which are read here: equal ones, but for blanks around them, are
/// one half, so that their samples are a group (PairList::groups); of other endings each member is its own. The labels
/// and classes are the shards'. Samples without one of the members, or with what wrong_with_text() calls no text, are
/// left out: the first three are named in `warnings`, all are counted. Throws Error where there are no two such
/// endings, and where no pair is left.
SIMCLR_API PairList read_pair_shards(std::shared_ptr<const Shards> shards, const std::string& columns,
                                     const IsHalf& is_half);

}  // namespace simclr::data
