#pragma once

// Private: what a user should know of shards (shards.h).

#include "shard_index.h"

#include <string>
#include <vector>

namespace simclr::data {

/// A line for each kind of thing in all of these shards that is not read, or that nobody would expect: members, zeros,
/// shards without a sample, labels. `paths` are the shards'.
std::vector<std::string> shard_warnings(const std::vector<std::string>& paths, const std::vector<ShardIndex>& indices);

}  // namespace simclr::data
