#include "field_folder.h"

#include "folder_files.h"
#include "name_pattern.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>

#include <filesystem>
#include <limits>
#include <map>
#include <utility>

namespace simclr::data {
namespace {

/// What is there that is no sample, counted by its ending.
std::string other_files(const std::string& ending, std::int64_t count, const FieldTableKind& kind) {
  const std::string package = kind.missing_package(ending);
  const std::string files =
      ending.empty() ? counted(count, "file") + " without an ending" : counted(count, printable(ending) + " file");
  return files + (package.empty() ? "" : (count == 1 ? " that needs" : " that need") + (" a build with " + package));
}

void label_by_pattern(FieldList& list, const std::string& text, const FieldTableKind& kind) {
  const NamePattern pattern(text, kind.has_ending);
  FittingFiles named = fields_by_pattern(list.files, pattern, text, list.owner());
  list.files = std::move(named.files);
  list.fields = std::move(named.fields);
  list.warnings.insert(list.warnings.end(), named.warnings.begin(), named.warnings.end());
  if (!named.left_out.empty()) list.left_out.push_back(named.left_out);
}

}  // namespace

FieldList list_folder(const std::string& dir, const std::string& pattern, const FieldTableKind& kind,
                      const TakeSamples& take) {
  const FolderFiles found = list_files(dir);
  FieldList list{.dir = dir, .sample = kind.sample, .warnings = found.warnings};
  std::map<std::string, std::int64_t> others;
  for (const std::string& file : take(found.files, list)) ++others[ending_of(file)];
  for (const auto& [ending, count] : others) list.left_out.push_back(other_files(ending, count, kind));
  list.left_out.insert(list.left_out.end(), found.left_out.begin(), found.left_out.end());
  SIMCLR_CHECK(list.size() > 0, "no ", kind.sample, "s, ", kind.kinds, ", in ", printable(dir),
               " or in the folders below it", list.left_out_text(), "; give the folder that holds them");
  SIMCLR_CHECK(list.size() < std::numeric_limits<std::uint32_t>::max(), printable(dir), ": ", list.size(), " ",
               kind.sample, "s, at most 2^32-1 are possible");
  if (pattern.empty()) {
    list.fields = fields_by_folder(list.files, list.owner());
  } else {
    label_by_pattern(list, pattern, kind);
  }
  return list;
}

ListedSamples::ListedSamples(FieldList list, const std::string& how) : list_(std::move(list)) {
  const std::string place = printable(list_.owner().place);
  SIMCLR_CHECK(list_.size() > 0, place, " has no ", list_.sample, "s");
  if (const Field* label = list_.field("label")) label_ = *label;
  description_ = counted(size(), list_.times.empty() ? list_.sample : "segment") + " in " + place + ", " +
                 (label_.values.empty() ? "unlabelled" : counted(std::ssize(label_.values), "class", "es")) + how +
                 list_.left_out_text();
}

std::int32_t ListedSamples::label(std::int64_t i) const {
  SIMCLR_CHECK(i >= 0 && i < size(), printable(list_.owner().place), ": ", list_.sample, " ", i, " of ", size());
  return label_.of.empty() ? -1 : label_.of[static_cast<std::size_t>(i)];
}

std::string ListedSamples::file(std::int64_t i) const {
  return list_.times.empty() ? list_.path(static_cast<std::size_t>(i)) : std::string();
}

std::string ListedSamples::place(std::int64_t i) const {
  return (std::filesystem::path(list_.dir) / list_.name(static_cast<std::size_t>(i))).string();
}

}  // namespace simclr::data
