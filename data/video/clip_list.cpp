#include "../field_folder.h"

#include <simclr/core/text.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/video/clip_io.h>
#include <simclr/data/video/clip_list.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <span>
#include <utility>

namespace simclr::data {
namespace {

constexpr const char* gif = ".gif";

/// Debian's packages that a build needs for files with this ending: GIFs are read as videos are.
std::string package_for(const std::string& ending) {
  return missing_clip_package(ending == gif ? ".mp4" : ending);
}

/// Whether a file is a clip by its name. A GIF is one, and no frame: its pictures move.
bool is_clip(const std::string& path) {
  return is_clip_name(path) || (ending_of(path) == gif && is_clip_name("a.mp4"));
}

bool is_frame(const std::string& path) {
  return is_picture_name(path) && ending_of(path) != gif;
}

bool needs_package(const std::string& name) {
  return !package_for(ending_of(name)).empty();
}

FieldTableKind kind_of_clips() {
  return {.sample = "clip",
          .kinds = read_clip_kinds(),
          .path_names = {"path", "filepath", "videopath", "clippath", "filename", "videofile", "videoname", "file",
                         "video", "clip", "clipname", "folder", "fname", "name", "id"},
          // A folder of frames has any name but a picture's.
          .is_sample =
              [](const std::string& name) { return is_clip(name) || !(needs_package(name) || is_picture_name(name)); },
          .has_ending = [](const std::string& text) { return is_clip(text) || needs_package(text); },
          .missing_package = package_for};
}

std::string folder_of(const std::string& file) {
  const std::size_t slash = file.rfind('/');
  return slash == std::string::npos ? "" : file.substr(0, slash);
}

/// The clips among the files of a folder: those of a folder of pictures stand where the first of them does.
std::vector<std::string> take_clips(const PathList& files, FieldList& list) {
  std::vector<std::string> others;
  std::int64_t loose = 0;         // pictures in the folder itself
  std::int64_t beside = 0;        // thumbnails, say: a folder that holds clips is none itself
  std::set<std::string> folders;  // of frames
  std::set<std::string> holders;  // of clips' files
  for (const std::string& file : files) {
    if (is_clip(file)) holders.insert(folder_of(file));
  }
  for (const std::string& file : files) {
    if (is_clip(file)) {
      list.files.push_back(file);
    } else if (is_frame(file)) {
      const std::string folder = folder_of(file);
      if (folder.empty()) {
        ++loose;
      } else if (holders.contains(folder)) {
        ++beside;
      } else if (folders.insert(folder).second) {
        list.files.push_back(folder);
      }
    } else {
      others.push_back(file);
    }
  }
  const auto is_inside = [&folders](std::string folder) {
    while (!(folder = folder_of(folder)).empty() && !folders.contains(folder)) {
    }
    return !folder.empty();
  };
  const auto inside = std::count_if(folders.begin(), folders.end(), is_inside);
  if (inside > 0) {
    const std::string first = *std::find_if(folders.begin(), folders.end(), is_inside);
    list.warnings.push_back(printable(list.dir) + ": " + counted(inside, "folder") +
                            " of pictures inside a clip's folder, each taken for a clip of its own: " +
                            printable(first) + "; move what is no clip elsewhere");
  }
  if (loose > 0) list.left_out.push_back(counted(loose, "picture") + " in " + printable(list.dir) + " itself");
  if (beside > 0) list.left_out.push_back(counted(beside, "picture") + " beside clips");
  return others;
}

class ClipFolder final : public ListedSamples {
 public:
  ClipFolder(FieldList clips, std::int64_t most_bytes)
      : ListedSamples(std::move(clips)), most_bytes_(most_bytes), paths_(list().size()) {}

  Sample sample(std::int64_t i, int) const override {
    const std::int32_t sample_label = label(i);
    const std::string path = list().path(static_cast<std::size_t>(i));
    std::atomic<bool>& as_path = paths_[static_cast<std::size_t>(i)];
    const auto reader = as_path ? nullptr : open_clip(path);
    if (reader == nullptr || reader->info().frames > most_bytes_ / reader->info().frame_bytes()) {
      as_path = true;
      const auto text = std::make_shared<const std::string>(path);
      return {
          .bytes = std::as_bytes(std::span(*text)), .shape = {std::ssize(*text)}, .label = sample_label, .owner = text};
    }
    const ClipInfo& info = reader->info();
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

 private:
  std::int64_t most_bytes_;
  mutable std::vector<std::atomic<bool>> paths_;  // which clips are known to be served as paths: not opened again
};

}  // namespace

FieldList list_clips(const std::string& dir, const std::string& pattern) {
  return list_folder(dir, pattern, kind_of_clips(), take_clips);
}

FieldList read_clip_table(const std::string& path) {
  return read_field_table(path, kind_of_clips());
}

std::unique_ptr<Dataset> clip_folder(FieldList clips, std::int64_t most_bytes) {
  return std::make_unique<ClipFolder>(std::move(clips), most_bytes);
}

}  // namespace simclr::data
