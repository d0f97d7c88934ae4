#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/field_list.h>

#include <charconv>
#include <cmath>
#include <filesystem>

namespace simclr::data {

std::string FieldList::path(std::size_t i) const {
  return (std::filesystem::path(dir) / files[i]).string();
}

std::string FieldList::name(std::size_t i) const {
  if (times.empty() || times[i].whole()) return files[i];
  const auto seconds = [](double value) {
    char text[32];  // that reads back as the same number, so that no two parts have one name
    return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
  };
  const TimeRange& time = times[i];
  return files[i] + " " + seconds(time.begin) + "-" + (std::isfinite(time.end) ? seconds(time.end) : "");
}

std::string FieldList::left_out_text() const {
  return left_out.empty() ? "" : " (left out: " + listed(left_out, left_out.size()) + ")";
}

FieldList selected_samples(const FieldList& list, const std::vector<std::uint32_t>& which, bool keep_labels) {
  FieldList some{.dir = list.dir, .source = list.source, .sample = list.sample};
  for (const std::uint32_t i : which) {
    SIMCLR_CHECK(i < list.size(), printable(list.owner().place), ": ", list.sample, " ", i, " of ", list.size());
    some.files.push_back(list.files[i]);
    if (!list.times.empty()) some.times.push_back(list.times[i]);
  }
  some.fields = selected_fields(list.fields, which, keep_labels);
  return some;
}

FieldListParts split_list(const FieldList& list, const std::string& field,
                          const std::vector<std::string>& test_values) {
  const FieldParts split = split_by_field(list.fields, field, test_values, list.owner());
  FieldListParts parts{.train = selected_samples(list, split.train, true),
                       .test = selected_samples(list, split.test, true)};
  parts.train.left_out = list.left_out;
  if (!split.left_out.empty()) parts.train.left_out.push_back(split.left_out);
  parts.train.warnings = list.warnings;
  return parts;
}

}  // namespace simclr::data
