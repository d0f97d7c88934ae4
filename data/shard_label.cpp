#include "shard_label.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdint>

namespace simclr::data {

bool says_label(std::string_view ending) {
  return ending == "cls" || ending == "json";
}

std::optional<std::string> label_in(std::string_view ending, const std::string& text) {
  if (ending == "cls") {
    const auto first = text.find_first_not_of(" \t\r\n");
    return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(" \t\r\n") + 1 - first);
  }
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_discarded()) return std::nullopt;
  if (!json.is_object()) return "";
  bool says_one = false;
  for (const char* name : {"label", "class", "cls"}) {
    const auto found = json.find(name);
    if (found == json.end() || found->is_null()) continue;
    says_one = true;
    if (found->is_string()) return found->get<std::string>();
    if (found->is_number_integer() || found->is_boolean()) return found->dump();
    if (!found->is_number_float()) continue;
    const double value = found->get<double>();  // as pandas writes a column of numbers that misses some
    if (value == std::floor(value) && std::abs(value) < 1e15) return std::to_string(static_cast<std::int64_t>(value));
  }
  if (says_one) return std::nullopt;
  return "";
}

}  // namespace simclr::data
