#include "class_names.h"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace simclr::data {

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

std::vector<std::string> sorted_classes(const std::set<std::string>& names) {
  std::vector<std::string> classes(names.begin(), names.end());
  if (std::all_of(classes.begin(), classes.end(), [](const auto& name) { return whole_number(name).has_value(); })) {
    std::stable_sort(classes.begin(), classes.end(),
                     [](const auto& a, const auto& b) { return *whole_number(a) < *whole_number(b); });
  }
  return classes;
}

}  // namespace simclr::data
