#include "../class_names.h"
#include "../folder_files.h"
#include "sound_fields.h"

#include <simclr/core/error.h>
#include <simclr/core/random.h>
#include <simclr/core/text.h>
#include <simclr/data/table.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <limits>
#include <map>
#include <set>
#include <utility>

namespace simclr::data {
namespace {

const SoundField& needed_field(const SoundList& list, const std::string& name) {
  const SoundField* field = list.field(name);
  if (field) return *field;
  std::vector<std::string> there;
  for (const SoundField& one : list.fields) there.push_back(one.name);
  fail(printable(list.place()), ": its recordings have no field ", printable(name), "; they have ",
       there.empty() ? "none" : listed(there, 8));
}

/// The files of a folder that are recordings; the others are counted.
void keep_sounds(const FolderFiles& found, SoundList& list) {
  std::map<std::string, std::int64_t> others;
  for (const std::string& file : found.files) {
    if (is_sound_name(file)) {
      list.files.push_back(file);
    } else {
      ++others[ending_of(file)];
    }
  }
  for (const auto& [ending, count] : others) {
    const std::string package = missing_sound_package(ending);
    list.left_out.push_back(
        (ending.empty() ? counted(count, "file") + " without an ending" : counted(count, printable(ending) + " file")) +
        (package.empty() ? ""
         : count == 1    ? " that needs"
                         : " that need") +
        (package.empty() ? "" : " a build with " + package));
  }
  list.left_out.insert(list.left_out.end(), found.left_out.begin(), found.left_out.end());
  list.warnings = found.warnings;
}

void label_by_folder(SoundList& list) {
  std::vector<std::string> labels;
  std::int64_t flat = 0;
  for (const std::string& file : list.files) {
    const std::size_t slash = file.find('/');
    labels.push_back(slash == std::string::npos ? "" : file.substr(0, slash));
    flat += slash == std::string::npos ? 1 : 0;
  }
  if (flat == std::ssize(labels)) return;
  SIMCLR_CHECK(flat == 0, printable(list.dir), " holds both ", counted(flat, "recording"),
               " and folders with recordings; keep either one folder a class or recordings alone");
  list.fields.push_back(make_field("label", labels));
}

void label_by_pattern(SoundList& list, const std::string& text) {
  constexpr std::int64_t most_named = 3;
  const NamePattern pattern(text);
  std::vector<std::vector<std::string>> texts(pattern.names().size());
  PathList fitting;
  std::int64_t others = 0;
  for (const std::string& file : list.files) {
    const auto values = pattern.match(file);
    if (values) {
      fitting.push_back(file);
      for (std::size_t i = 0; i < texts.size(); ++i) texts[i].push_back((*values)[i]);
    } else if (++others <= most_named) {
      list.warnings.push_back(printable((std::filesystem::path(list.dir) / file).string()) + " does not fit " +
                              printable(text) + " (recording left out)");
    }
  }
  SIMCLR_CHECK(!fitting.empty(), printable(list.dir), ": no name of ", counted(others, "recording"), " fits ",
               printable(text), ": ", printable(list.files[0]));
  if (others > 0) list.left_out.push_back(counted(others, "recording") + " whose names do not fit " + printable(text));
  list.files = std::move(fitting);
  for (std::size_t i = 0; i < texts.size(); ++i) list.fields.push_back(make_field(pattern.names()[i], texts[i]));
}

/// Numbers of the recordings that have one of `values` in the field, and of those that have another.
std::pair<std::vector<std::uint32_t>, std::vector<std::uint32_t>> parted(const SoundField& field,
                                                                         const std::set<std::string_view>& values) {
  std::pair<std::vector<std::uint32_t>, std::vector<std::uint32_t>> out;
  for (std::uint32_t i = 0; i < field.of.size(); ++i) {
    if (field.of[i] >= 0) (values.contains(field.value(i)) ? out.first : out.second).push_back(i);
  }
  return out;
}

/// The labels of a part, as numbers of the whole list's classes.
void keep_classes(const SoundList& whole, const std::vector<std::uint32_t>& which, SoundList& part) {
  const SoundField* label = whole.field("label");
  if (label == nullptr) return;
  for (SoundField& field : part.fields) {
    if (field.name != label->name) continue;
    field.values = label->values;
    for (std::size_t i = 0; i < which.size(); ++i) field.of[i] = label->of[which[i]];
  }
}

}  // namespace

SoundField make_field(std::string name, const std::vector<std::string>& texts) {
  std::set<std::string> different(texts.begin(), texts.end());
  different.erase("");
  SoundField field{.name = std::move(name), .values = sorted_classes(different)};
  std::map<std::string_view, std::int32_t> place;
  for (const std::string& value : field.values) place.emplace(value, static_cast<std::int32_t>(place.size()));
  for (const std::string& text : texts) field.of.push_back(text.empty() ? -1 : place.at(text));
  return field;
}

std::string SoundList::path(std::size_t i) const {
  return (std::filesystem::path(dir) / files[i]).string();
}

std::string SoundList::name(std::size_t i) const {
  if (segments.empty() || segments[i].whole()) return files[i];
  const auto seconds = [](double value) {
    char text[32];  // that reads back as the same number, so that no two segments have one name
    return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
  };
  const SoundSegment& segment = segments[i];
  return files[i] + " " + seconds(segment.begin) + "-" + (std::isfinite(segment.end) ? seconds(segment.end) : "");
}

const SoundField* SoundList::field(std::string_view name) const {
  std::vector<std::string> names;
  for (const SoundField& one : fields) names.push_back(one.name);
  std::string lower = lower_case(name);
  std::erase_if(lower, [](char c) { return c == '_' || c == '-' || c == ' '; });
  const int found = find_column(names, {lower});
  return found < 0 ? nullptr : &fields[static_cast<std::size_t>(found)];
}

SoundList list_sounds(const std::string& dir, const std::string& pattern) {
  SoundList list{.dir = dir, .files = {}};
  keep_sounds(list_files(dir), list);
  std::string left_out;
  for (const std::string& part : list.left_out) left_out += (left_out.empty() ? "" : ", ") + part;
  SIMCLR_CHECK(!list.files.empty(), "no ", read_sound_kinds(), " recordings in ", printable(dir),
               " or in the folders below it", left_out.empty() ? "" : " (left out: " + left_out + ")",
               "; give the folder that holds them");
  SIMCLR_CHECK(list.files.size() < std::numeric_limits<std::uint32_t>::max(), printable(dir), ": ", list.files.size(),
               " recordings, at most 2^32-1 are possible");
  if (pattern.empty()) {
    label_by_folder(list);
  } else {
    label_by_pattern(list, pattern);
  }
  return list;
}

SoundList selected_sounds(const SoundList& list, const std::vector<std::uint32_t>& which) {
  SoundList some{.dir = list.dir, .files = {}, .source = list.source};
  for (const std::uint32_t i : which) {
    SIMCLR_CHECK(i < list.size(), printable(list.place()), ": recording ", i, " of ", list.size());
    some.files.push_back(list.files[i]);
    if (!list.segments.empty()) some.segments.push_back(list.segments[i]);
  }
  for (const SoundField& field : list.fields) {
    std::vector<std::string> texts;
    for (const std::uint32_t i : which) texts.emplace_back(field.value(i));
    some.fields.push_back(make_field(field.name, texts));
  }
  return some;
}

SoundParts split_sounds(const SoundList& list, const std::string& name, const std::vector<std::string>& test_values) {
  const SoundField& field = needed_field(list, name);
  for (const std::string& value : test_values) {
    SIMCLR_CHECK(std::find(field.values.begin(), field.values.end(), value) != field.values.end(),
                 printable(list.place()), ": no recording has ", printable(value), " as its ", printable(field.name),
                 "; they have ", listed(field.values, 12));
  }
  const auto [test, train] = parted(field, {test_values.begin(), test_values.end()});
  SIMCLR_CHECK(!test.empty() && !train.empty(), printable(list.place()), ": split by ", printable(field.name),
               test.empty() ? " nothing is left to test with" : " nothing is left to train on",
               "; name some of its values, but not all: ", listed(field.values, 12));
  SoundParts parts{.train = selected_sounds(list, train), .test = selected_sounds(list, test)};
  keep_classes(list, train, parts.train);
  keep_classes(list, test, parts.test);
  parts.train.left_out = list.left_out;
  const std::int64_t without = std::ssize(field.of) - std::ssize(train) - std::ssize(test);
  if (without > 0) {
    parts.train.left_out.push_back(counted(without, "recording") + " without a " + printable(field.name));
  }
  parts.train.warnings = list.warnings;
  return parts;
}

std::vector<std::string> drawn_values(const SoundList& list, const std::string& name, double share,
                                      std::uint64_t seed) {
  const SoundField& field = needed_field(list, name);
  const std::int64_t count = std::ssize(field.values);
  SIMCLR_CHECK(share > 0.0 && share < 1.0, "a share of ", share, " is to be held out, between 0 and 1 is possible");
  SIMCLR_CHECK(count >= 2, printable(list.place()), ": all recordings have one ", printable(field.name),
               ", so that it cannot part them");
  std::vector<std::pair<std::uint32_t, std::string>> drawn;  // a value's number depends on no other value
  for (const std::string& value : field.values) {
    std::uint32_t hash = 2166136261u;  // FNV-1a
    for (const char c : value) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
    drawn.emplace_back(Random(seed, RandomPurpose::subset, hash).bits(0), value);
  }
  std::sort(drawn.begin(), drawn.end());
  const auto kept = std::clamp<std::int64_t>(std::llround(share * static_cast<double>(count)), 1, count - 1);
  std::vector<std::string> values;
  for (std::int64_t i = 0; i < kept; ++i) values.push_back(drawn[static_cast<std::size_t>(i)].second);
  std::sort(values.begin(), values.end());
  return values;
}

std::vector<std::string> shared_values(const SoundList& a, const SoundList& b, const std::string& name) {
  const SoundField &one = needed_field(a, name), &other = needed_field(b, name);
  const std::set<std::string> first(one.values.begin(), one.values.end()),
      second(other.values.begin(), other.values.end());
  std::vector<std::string> both;
  std::set_intersection(first.begin(), first.end(), second.begin(), second.end(), std::back_inserter(both));
  return both;
}

std::vector<std::string> values_of(const std::string& text) {
  constexpr std::uint64_t most = 100'000;
  std::vector<std::string> values;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string one = text.substr(at, comma - at);
    const std::size_t dash = one.find('-', 1);
    const auto first = whole_number(one.substr(0, std::min(dash, one.size())));
    const auto last = dash == std::string::npos ? std::nullopt : whole_number(one.substr(dash + 1));
    if (first && last) {
      const std::uint64_t further = static_cast<std::uint64_t>(*last) - static_cast<std::uint64_t>(*first);
      SIMCLR_CHECK(*first <= *last && further < most, "the values ", printable(one), ": a range goes up, by at most ",
                   most);
      for (std::int64_t k = 0; k <= static_cast<std::int64_t>(further); ++k) {
        values.push_back(std::to_string(*first + k));
      }
    } else if (!one.empty()) {
      values.push_back(one);
    }
    at = comma + 1;
  }
  return values;
}

}  // namespace simclr::data
