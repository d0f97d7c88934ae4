#include "../folder_files.h"
#include "../name_pattern.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/sound/sound_list.h>

#include <charconv>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <utility>

namespace simclr::data {
namespace {

FieldOwner owner_of(const SoundList& list) {
  return {.place = list.place(), .sample = "recording"};
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

void label_by_pattern(SoundList& list, const std::string& text) {
  const NamePattern pattern(text, [](const std::string& path) {
    return is_sound_name(path) || !missing_sound_package(ending_of(path)).empty();
  });
  FittingFiles named = fields_by_pattern(list.files, pattern, text, owner_of(list));
  list.files = std::move(named.files);
  list.fields = std::move(named.fields);
  list.warnings.insert(list.warnings.end(), named.warnings.begin(), named.warnings.end());
  if (!named.left_out.empty()) list.left_out.push_back(named.left_out);
}

}  // namespace

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
  return find_field(fields, name);
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
    list.fields = fields_by_folder(list.files, owner_of(list));
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
  some.fields = selected_fields(list.fields, which);
  return some;
}

SoundParts split_sounds(const SoundList& list, const std::string& field, const std::vector<std::string>& test_values) {
  const FieldParts split = split_by_field(list.fields, field, test_values, owner_of(list));
  SoundParts parts{.train = selected_sounds(list, split.train), .test = selected_sounds(list, split.test)};
  parts.train.fields = selected_fields(list.fields, split.train, true);
  parts.test.fields = selected_fields(list.fields, split.test, true);
  parts.train.left_out = list.left_out;
  if (!split.left_out.empty()) parts.train.left_out.push_back(split.left_out);
  parts.train.warnings = list.warnings;
  return parts;
}

std::vector<std::string> drawn_values(const SoundList& list, const std::string& field, double share,
                                      std::uint64_t seed) {
  return drawn_values(list.fields, field, owner_of(list), share, seed);
}

std::vector<std::string> shared_values(const SoundList& a, const SoundList& b, const std::string& name) {
  return shared_values(needed_field(a.fields, name, owner_of(a)), needed_field(b.fields, name, owner_of(b)));
}

}  // namespace simclr::data
