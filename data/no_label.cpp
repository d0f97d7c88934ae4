#include "no_label.h"

#include "class_names.h"

#include <simclr/core/text.h>

#include <algorithm>
#include <string_view>

namespace simclr::data {
namespace {

bool is_minus_one(const std::string& text) {
  return text == "-1" || text == "-1.0";
}

/// What pandas and published lists write where there is no label. "NA" and "None" may be the names of classes.
bool is_no_label(const std::string& text) {
  const std::string lower = lower_case(text);
  return is_minus_one(lower) || lower == "nan" || lower == "<na>" || lower == "#n/a";
}

bool may_be_no_label(const std::string& text) {
  return text == "NA" || text == "N/A" || text == "None" || text == "none" || text == "NULL" || text == "null";
}

}  // namespace

NoLabels find_no_labels(const std::map<std::string, std::int64_t>& labels) {
  NoLabels found;
  std::set<std::string> others;
  for (const auto& [text, count] : labels) {
    if (!is_no_label(text)) others.insert(text);
  }
  const bool minus = labels.contains("-1") || labels.contains("-1.0");
  const bool one =
      others.size() == 1 && (*others.begin() == "1" || *others.begin() == "+1" || *others.begin() == "1.0");
  found.signs = minus && one;
  for (const auto& [text, count] : labels) {
    if (may_be_no_label(text)) found.doubtful.push_back(text);
    if (is_no_label(text) && !(found.signs && is_minus_one(text))) found.none.push_back(text);
  }
  return found;
}

bool all_end_in_zero(const std::set<std::string>& labels) {
  return !labels.empty() && std::all_of(labels.begin(), labels.end(), [](const std::string& text) {
    return text.ends_with(".0") && whole_number(std::string_view(text).substr(0, text.size() - 2));
  });
}

}  // namespace simclr::data
