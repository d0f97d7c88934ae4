#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/image_folder.h>
#include <simclr/data/pictures/image_io.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <sstream>
#include <utility>

namespace simclr::data {
namespace {

class ImageFolder final : public Dataset {
 public:
  std::int64_t size() const override { return static_cast<std::int64_t>(files.size()); }

  Sample sample(std::int64_t i, int) const override {
    const std::int32_t sample_label = label(i);
    const auto picture = std::make_shared<const Picture>(read_picture(file(i)));
    return {.bytes = std::as_bytes(std::span(picture->pixels)),
            .shape = {picture->height, picture->width, picture->channels},
            .label = sample_label,
            .owner = picture,
            .warning = picture->warning};
  }

  std::int32_t label(std::int64_t i) const override {
    SIMCLR_CHECK(i >= 0 && i < size(), "image_folder: picture ", i, " of ", size());
    return labels[static_cast<std::size_t>(i)];
  }

  const std::vector<std::string>& classes() const override { return class_names; }
  std::string describe() const override { return description; }

  std::string file(std::int64_t i) const override {
    return (std::filesystem::path(dir) / files[static_cast<std::size_t>(i)]).string();
  }

  std::string dir;
  std::vector<std::string> files;  // paths from `dir`
  std::vector<std::int32_t> labels;
  std::vector<std::string> class_names;
  std::string description;
};

/// The first `depth` folders of a path, or all where there are fewer; empty for a file that lies in none.
std::string folder_of(const std::string& file, int depth) {
  std::size_t end = 0;
  for (std::size_t slash = file.find('/'); slash != std::string::npos && depth > 0; --depth) {
    end = slash;
    slash = file.find('/', slash + 1);
  }
  return file.substr(0, end);
}

}  // namespace

std::unique_ptr<Dataset> image_folder(const std::string& dir, int classes_at) {
  return image_folder(list_pictures(dir), classes_at);
}

std::unique_ptr<Dataset> image_folder(PictureList pictures, int classes_at) {
  SIMCLR_CHECK(classes_at >= 0, "image_folder: classes_at ", classes_at, ", 0 or more is needed");
  const std::string left_out = pictures.left_out.text();
  SIMCLR_CHECK(!pictures.files.empty(), "image_folder: no .jpg, .jpeg or .png pictures in ", printable(pictures.dir),
               " or in the folders below it", left_out.empty() ? "" : " (left out: " + left_out + ")",
               pictures.left_out.pictures.empty() ? "; give the folder that holds them" : "; convert them");
  std::map<std::string, std::vector<std::string>> classes;
  for (std::string& file : pictures.files) classes[folder_of(file, classes_at)].push_back(std::move(file));
  const auto flat = classes.find("");
  SIMCLR_CHECK(classes.size() == 1 || flat == classes.end(), "image_folder: ", printable(pictures.dir), " holds both ",
               counted(flat->second.size(), "picture"), " and ", counted(classes.size() - 1, "sub-folder"),
               " with pictures (", printable(flat->second.front()), ", ", printable(std::next(flat)->first),
               "); keep either one folder a class or pictures alone, or take no classes (0 folders of the path)");
  auto set = std::make_unique<ImageFolder>();
  set->dir = std::move(pictures.dir);
  for (auto& [name, files] : classes) {
    const auto label = static_cast<std::int32_t>(set->class_names.size());
    if (!name.empty()) set->class_names.push_back(name);
    std::move(files.begin(), files.end(), std::back_inserter(set->files));
    set->labels.resize(set->files.size(), name.empty() ? -1 : label);
  }
  std::ostringstream line;
  line << counted(set->files.size(), "picture") << " in " << set->dir << ", ";
  if (set->class_names.empty()) {
    line << "unlabelled";
  } else {
    line << counted(set->class_names.size(), "class", "es");
  }
  if (!left_out.empty()) line << " (left out: " << left_out << ")";
  set->description = line.str();
  return set;
}

}  // namespace simclr::data
