#include <simclr/core/error.h>
#include <simclr/data/image_folder.h>
#include <simclr/data/image_io.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <system_error>
#include <utility>

namespace simclr::data {
namespace {

namespace fs = std::filesystem;

class ImageFolder final : public Dataset {
 public:
  std::int64_t size() const override { return static_cast<std::int64_t>(paths.size()); }

  Sample sample(std::int64_t i) const override {
    const std::int32_t sample_label = label(i);
    const auto picture = std::make_shared<const Picture>(read_picture(paths[static_cast<std::size_t>(i)]));
    return {.bytes = picture->pixels,
            .shape = {picture->height, picture->width, picture->channels},
            .label = sample_label,
            .owner = picture};
  }

  std::int32_t label(std::int64_t i) const override {
    SIMCLR_CHECK(i >= 0 && i < size(), "image_folder: picture ", i, " of ", size());
    return labels[static_cast<std::size_t>(i)];
  }

  const std::vector<std::string>& classes() const override { return class_names; }
  std::string describe() const override { return description; }

  std::vector<std::string> paths;
  std::vector<std::int32_t> labels;
  std::vector<std::string> class_names;
  std::string description;
};

/// What one folder holds, by name in order.
struct Listing {
  std::vector<std::string> pictures;  // paths
  std::vector<fs::path> folders;
  std::int64_t ignored = 0;
};

Listing list(const fs::path& dir) {
  Listing listing;
  std::error_code error;
  fs::directory_iterator entries(dir, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    std::error_code unknown;  // a dangling link is no folder; if it is named like a picture, reading it tells
    if (entries->path().filename().string().starts_with('.')) {
      ++listing.ignored;
    } else if (entries->is_directory(unknown)) {
      listing.folders.push_back(entries->path());
    } else if (is_picture_name(entries->path().string())) {
      listing.pictures.push_back(entries->path().string());
    } else {
      ++listing.ignored;
    }
  }
  SIMCLR_CHECK(!error, "image_folder: cannot list ", dir.string(), ": ", error.message());
  std::sort(listing.pictures.begin(), listing.pictures.end());
  std::sort(listing.folders.begin(), listing.folders.end());
  return listing;
}

/// "1 class" or "3 classes".
std::string counted(std::size_t count, const std::string& what, const std::string& ending = "s") {
  return std::to_string(count) + " " + what + (count == 1 ? "" : ending);
}

/// Whether `folder` is `dir` or lies above it.
bool leads_back(const fs::path& folder, const fs::path& dir) {
  std::error_code error;
  const fs::path target = fs::canonical(folder, error);
  const fs::path here = fs::canonical(dir, error);
  return std::mismatch(target.begin(), target.end(), here.begin(), here.end()).first == target.end();
}

}  // namespace

std::unique_ptr<Dataset> image_folder(const std::string& dir) {
  std::error_code error;
  SIMCLR_CHECK(fs::exists(dir, error), "image_folder: there is no folder ", dir, "; give a folder of pictures");
  SIMCLR_CHECK(fs::is_directory(dir, error), "image_folder: ", dir, " is not a folder; give a folder of pictures");
  const Listing top = list(dir);
  std::int64_t ignored = top.ignored;
  auto set = std::make_unique<ImageFolder>();
  for (const fs::path& folder : top.folders) {
    const Listing inside = leads_back(folder, dir) ? Listing{} : list(folder);
    if (inside.pictures.empty()) {
      ++ignored;
      continue;
    }
    ignored += inside.ignored + static_cast<std::int64_t>(inside.folders.size());
    const auto label = static_cast<std::int32_t>(set->class_names.size());
    set->class_names.push_back(folder.filename().string());
    set->paths.insert(set->paths.end(), inside.pictures.begin(), inside.pictures.end());
    set->labels.resize(set->paths.size(), label);
  }
  SIMCLR_CHECK(set->paths.empty() || top.pictures.empty(), "image_folder: ", dir, " holds both ",
               counted(top.pictures.size(), "picture"), " and ", counted(set->class_names.size(), "sub-folder"),
               " with pictures (", top.pictures.front(), ", ", set->class_names.front(),
               "); keep either one folder a class or pictures alone");
  std::ostringstream line;
  if (set->paths.empty()) {
    SIMCLR_CHECK(!top.pictures.empty(), "image_folder: no .jpg, .jpeg or .png pictures in ", dir,
                 " or in folders right below it (", ignored, " other entries); give the folder that holds them");
    set->paths = top.pictures;
    set->labels.resize(set->paths.size(), -1);
    line << counted(set->paths.size(), "picture") << " in " << dir << ", unlabelled";
  } else {
    line << counted(set->paths.size(), "picture") << " in " << dir << ", "
         << counted(set->class_names.size(), "class", "es");
  }
  if (ignored > 0) line << " (ignored: " << ignored << " other files and folders)";
  set->description = line.str();
  return set;
}

}  // namespace simclr::data
