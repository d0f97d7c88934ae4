#pragma once

// Private: labels as texts.

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace simclr::data {

/// The number that a text is, and nothing else; none: it is no whole number.
std::optional<std::int64_t> whole_number(std::string_view text);

/// The classes that labels name, in order: by value where all are whole numbers, else by name.
std::vector<std::string> sorted_classes(const std::set<std::string>& names);

}  // namespace simclr::data
