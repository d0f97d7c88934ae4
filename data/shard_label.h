#pragma once

// Private: what a member of a tar shard says of its sample's label (shards.h).

#include <optional>
#include <string>
#include <string_view>

namespace simclr::data {

/// Whether members of this ending, in lower case, say labels.
bool says_label(std::string_view ending);

/// The label that a member of such an ending says; empty: none; nothing: one that cannot be read.
std::optional<std::string> label_in(std::string_view ending, const std::string& text);

}  // namespace simclr::data
