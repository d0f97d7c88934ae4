#include "../field_table.h"
#include "../folder_files.h"
#include "../name_pattern.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/video/clip_io.h>
#include <simclr/data/video/clip_list.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <map>
#include <set>
#include <span>
#include <utility>

namespace simclr::data {
namespace {

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

/// What is there that is no clip, counted by its ending.
std::string other_files(const std::string& ending, std::int64_t count) {
  const std::string package = missing_clip_package(ending);
  const std::string files =
      ending.empty() ? counted(count, "file") + " without an ending" : counted(count, printable(ending) + " file");
  return files + (package.empty() ? "" : (count == 1 ? " that needs" : " that need") + (" a build with " + package));
}

/// The clips among the files of a folder: those of a folder of pictures stand where the first of them does.
void keep_clips(const FolderFiles& found, ClipList& list) {
  std::map<std::string, std::int64_t> others;
  std::int64_t loose = 0;         // pictures beside folders and clips
  std::set<std::string> folders;  // of frames
  for (const std::string& file : found.files) {
    if (is_clip_name(file)) {
      list.clips.push_back(file);
    } else if (is_picture_name(file)) {
      const std::size_t slash = file.rfind('/');
      if (slash == std::string::npos) {
        ++loose;
      } else if (folders.insert(file.substr(0, slash)).second) {
        list.clips.push_back(file.substr(0, slash));
      }
    } else {
      ++others[ending_of(file)];
    }
  }
  if (loose > 0) list.left_out.push_back(counted(loose, "picture") + " in " + printable(list.dir) + " itself");
  for (const auto& [ending, count] : others) list.left_out.push_back(other_files(ending, count));
  list.left_out.insert(list.left_out.end(), found.left_out.begin(), found.left_out.end());
  list.warnings = found.warnings;
}

void label_by_pattern(ClipList& list, const std::string& text) {
  const NamePattern pattern(text, [](const std::string& path) {
    return is_clip_name(path) || !missing_clip_package(ending_of(path)).empty();
  });
  FittingFiles named = fields_by_pattern(list.clips, pattern, text, list.owner());
  list.clips = std::move(named.files);
  list.fields = std::move(named.fields);
  list.warnings.insert(list.warnings.end(), named.warnings.begin(), named.warnings.end());
  if (!named.left_out.empty()) list.left_out.push_back(named.left_out);
}

class ClipFolder final : public Dataset {
 public:
  ClipFolder(ClipList list, std::int64_t most_bytes) : list_(std::move(list)), most_bytes_(most_bytes) {
    if (const Field* label = list_.field("label")) label_ = *label;
    const std::string left_out = joined(list_.left_out);
    description_ = counted(size(), "clip") + " in " + printable(list_.owner().place) + ", " +
                   (label_.values.empty() ? "unlabelled" : counted(std::ssize(label_.values), "class", "es")) +
                   (left_out.empty() ? "" : " (left out: " + left_out + ")");
  }

  std::int64_t size() const override { return std::ssize(list_.clips); }

  Sample sample(std::int64_t i, int) const override {
    const std::int32_t sample_label = label(i);
    const std::string path = list_.path(static_cast<std::size_t>(i));
    const auto reader = open_clip(path);
    const ClipInfo& info = reader->info();
    if (info.frames > most_bytes_ / info.frame_bytes()) {
      const auto text = std::make_shared<const std::string>(path);
      return {
          .bytes = std::as_bytes(std::span(*text)), .shape = {std::ssize(*text)}, .label = sample_label, .owner = text};
    }
    std::vector<std::int64_t> all;
    for (std::int64_t k = 0; k < info.frames; ++k) all.push_back(k);
    const auto values =
        std::make_shared<std::vector<std::uint8_t>>(static_cast<std::size_t>(info.frames * info.frame_bytes()));
    reader->read(all, *values);
    return {.bytes = std::as_bytes(std::span(*values)),
            .shape = {info.frames, info.height, info.width, info.channels},
            .dtype = info.dtype,
            .label = sample_label,
            .owner = values,
            .finite = true};
  }

  std::int32_t label(std::int64_t i) const override {
    SIMCLR_CHECK(i >= 0 && i < size(), "clip_folder: clip ", i, " of ", size());
    return label_.of.empty() ? -1 : label_.of[static_cast<std::size_t>(i)];
  }

  const std::vector<std::string>& classes() const override { return label_.values; }
  std::string describe() const override { return description_; }
  std::string file(std::int64_t i) const override { return list_.path(static_cast<std::size_t>(i)); }

 private:
  ClipList list_;
  std::int64_t most_bytes_;
  Field label_;
  std::string description_;
};

}  // namespace

std::string ClipList::path(std::size_t i) const {
  return (std::filesystem::path(dir) / clips[i]).string();
}

ClipList list_clips(const std::string& dir, const std::string& pattern) {
  ClipList list{.dir = dir, .clips = {}};
  keep_clips(list_files(dir), list);
  const std::string left_out = joined(list.left_out);
  SIMCLR_CHECK(list.size() > 0, "no clips, ", read_clip_kinds(), ", in ", printable(dir), " or in the folders below it",
               left_out.empty() ? "" : " (left out: " + left_out + ")", "; give the folder that holds them");
  SIMCLR_CHECK(list.size() < std::numeric_limits<std::uint32_t>::max(), printable(dir), ": ", list.size(),
               " clips, at most 2^32-1 are possible");
  if (pattern.empty()) {
    list.fields = fields_by_folder(list.clips, list.owner());
  } else {
    label_by_pattern(list, pattern);
  }
  return list;
}

ClipList read_clip_table(const std::string& path) {
  const auto needs_package = [](const std::string& name) { return !missing_clip_package(ending_of(name)).empty(); };
  const FieldTableKind kind{
      .sample = "clip",
      .kinds = read_clip_kinds(),
      .path_names = {"path", "filepath", "videopath", "clippath", "filename", "videofile", "videoname", "file", "video",
                     "clip", "clipname", "folder", "fname", "name", "id"},
      // A folder of frames has any name but a picture's.
      .is_sample =
          [&](const std::string& name) {
            return is_clip_name(name) || !(needs_package(name) || is_picture_name(name));
          },
      .has_ending = [&](const std::string& text) { return is_clip_name(text) || needs_package(text); },
      .missing_package = missing_clip_package};
  FieldTable table = read_field_table(path, kind);
  return {.dir = std::move(table.dir),
          .clips = std::move(table.files),
          .fields = std::move(table.fields),
          .source = path,
          .left_out = std::move(table.left_out),
          .warnings = std::move(table.warnings),
          .columns = std::move(table.columns)};
}

ClipList selected_clips(const ClipList& list, const std::vector<std::uint32_t>& which, bool keep_labels) {
  ClipList some{.dir = list.dir, .clips = {}, .source = list.source};
  for (const std::uint32_t i : which) {
    SIMCLR_CHECK(i < list.size(), printable(list.owner().place), ": clip ", i, " of ", list.size());
    some.clips.push_back(list.clips[i]);
  }
  some.fields = selected_fields(list.fields, which, keep_labels);
  return some;
}

ClipParts split_clips(const ClipList& list, const std::string& field, const std::vector<std::string>& test_values) {
  const FieldParts split = split_by_field(list.fields, field, test_values, list.owner());
  ClipParts parts{.train = selected_clips(list, split.train, true), .test = selected_clips(list, split.test, true)};
  parts.train.left_out = list.left_out;
  if (!split.left_out.empty()) parts.train.left_out.push_back(split.left_out);
  parts.train.warnings = list.warnings;
  return parts;
}

std::unique_ptr<Dataset> clip_folder(ClipList list, std::int64_t most_bytes) {
  SIMCLR_CHECK(list.size() > 0, "clip_folder: ", printable(list.owner().place), " has no clips");
  return std::make_unique<ClipFolder>(std::move(list), most_bytes);
}

}  // namespace simclr::data
