#include "no_label.h"

#include "class_names.h"

#include <simclr/core/text.h>

#include <algorithm>
#include <set>
#include <string_view>

namespace simclr::data {
namespace {

bool is_minus_one(const std::string& text) {
  return text == "-1" || text == "-1.0";
}

/// What pandas and published lists write where there is no label. "NA" and "None" may be the names of classes.
bool is_no_label(const std::string& text) {
  const std::string lower = lower_case(text);
  return lower.empty() || is_minus_one(lower) || lower == "nan" || lower == "<na>" || lower == "#n/a";
}

bool may_be_no_label(const std::string& text) {
  return text == "NA" || text == "N/A" || text == "None" || text == "none" || text == "NULL" || text == "null";
}

/// Whether -1 is a class, since the only other label is 1.
bool are_signs(const std::map<std::string, std::int64_t>& labels) {
  std::set<std::string> others;
  for (const auto& [text, count] : labels) {
    if (!is_no_label(text)) others.insert(text);
  }
  const bool minus = labels.contains("-1") || labels.contains("-1.0");
  return minus && others.size() == 1 && (*others.begin() == "1" || *others.begin() == "+1" || *others.begin() == "1.0");
}

bool all_end_in_zero(const std::set<std::string>& labels) {
  return !labels.empty() && std::all_of(labels.begin(), labels.end(), [](const std::string& text) {
    return text.ends_with(".0") && whole_number(std::string_view(text).substr(0, text.size() - 2));
  });
}

}  // namespace

LabelClasses classes_of_labels(const std::map<std::string, std::int64_t>& labels, const std::string& sample) {
  LabelClasses found;
  const bool signs = are_signs(labels);
  std::set<std::string> names;
  std::vector<std::string> none, doubtful;
  for (const auto& [text, count] : labels) {
    if (may_be_no_label(text)) doubtful.push_back(text);
    if (!is_no_label(text) || (signs && is_minus_one(text))) {
      names.insert(text);
    } else if (!text.empty()) {
      none.push_back(counted(count, sample) + " of label " + text);
    }
  }
  if (!none.empty()) found.notes.push_back("taken as unlabelled: " + listed(none, none.size()));
  if (signs) found.notes.emplace_back("the label -1 is a class, since the only other one is 1");
  if (!doubtful.empty()) {
    found.notes.push_back("the label " + listed(doubtful, doubtful.size()) +
                          " counts as a class (where there is no label leave the field empty)");
  }
  const bool whole = all_end_in_zero(names);
  const auto shown = [whole](const std::string& text) { return whole ? text.substr(0, text.size() - 2) : text; };
  std::set<std::string> classes;
  for (const std::string& text : names) classes.insert(shown(text));
  found.classes = sorted_classes(classes);
  std::map<std::string, std::int32_t> places;
  for (const std::string& name : found.classes) places.emplace(name, static_cast<std::int32_t>(places.size()));
  for (const std::string& text : names) found.places.emplace(text, places.at(shown(text)));
  return found;
}

}  // namespace simclr::data
