#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/image_folder.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/pictures/picture_channels.h>
#include <simclr/data/pictures/picture_classes.h>

#include <filesystem>
#include <utility>

namespace simclr::data {
namespace {

class ImageFolder final : public Dataset {
 public:
  ImageFolder(PictureList pictures, int channels) : pictures_(std::move(pictures)), channels_(channels) {
    const auto count = std::ssize(pictures_.classes);
    const std::string left_out = pictures_.left_out.text();
    description_ = counted(size(), "picture") + " in " + pictures_.place() + ", " +
                   (count == 0 ? "unlabelled" : counted(count, "class", "es")) +
                   (left_out.empty() ? "" : " (left out: " + left_out + ")");
  }

  std::int64_t size() const override { return static_cast<std::int64_t>(pictures_.files.size()); }

  Sample sample(std::int64_t i, int) const override {
    const std::int32_t sample_label = label(i);
    return picture_sample(read_raster(file(i)), sample_label, channels_, file(i));
  }

  std::int32_t label(std::int64_t i) const override {
    SIMCLR_CHECK(i >= 0 && i < size(), "image_folder: picture ", i, " of ", size());
    return pictures_.labels[static_cast<std::size_t>(i)];
  }

  const std::vector<std::string>& classes() const override { return pictures_.classes; }
  std::string describe() const override { return description_; }

  std::string file(std::int64_t i) const override {
    return (std::filesystem::path(pictures_.dir) / pictures_.files[static_cast<std::size_t>(i)]).string();
  }

 private:
  PictureList pictures_;  // with labels
  std::string description_;
  int channels_;  // of views
};

}  // namespace

std::unique_ptr<Dataset> image_folder(const std::string& dir, int classes_at) {
  return image_folder(list_pictures(dir), classes_at);
}

std::unique_ptr<Dataset> image_folder(PictureList pictures, int classes_at, int channels) {
  name_classes(pictures, classes_at);
  return std::make_unique<ImageFolder>(std::move(pictures), channels);
}

}  // namespace simclr::data
