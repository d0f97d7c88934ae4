#include "modalities/picture_files.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/pictures/picture_views.h>

#include <filesystem>
#include <utility>

namespace data = simclr::data;
namespace fs = std::filesystem;

namespace {

data::Sample read_sample(const std::string& path, std::int32_t label) {
  const auto picture = std::make_shared<const data::Picture>(data::read_picture(path));
  return {.bytes = std::as_bytes(std::span(picture->pixels)),
          .shape = {picture->height, picture->width, picture->channels},
          .label = label,
          .owner = picture,
          .warning = picture->warning};
}

class PictureFiles final : public data::Dataset {
 public:
  PictureFiles(std::string dir, std::vector<std::string> files) : dir_(std::move(dir)), files_(std::move(files)) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(files_.size()); }

  data::Sample sample(std::int64_t i, int) const override {
    const std::string& name = files_[static_cast<std::size_t>(label(i))];
    if (name.find('\n') != std::string::npos) {  // files.txt has one path a line
      simclr::fail(simclr::printable(name), ": the name holds a line break; rename the file");
    }
    return read_sample(file(i), label(i));
  }

  std::int32_t label(std::int64_t i) const override {
    SIMCLR_CHECK(i >= 0 && i < size(), "picture ", i, " of ", size());
    return static_cast<std::int32_t>(i);
  }

  const std::vector<std::string>& classes() const override { return files_; }
  std::string file(std::int64_t i) const override {
    return (fs::path(dir_) / files_[static_cast<std::size_t>(i)]).string();
  }
  std::string describe() const override { return std::to_string(size()) + " pictures in " + dir_; }

 private:
  std::string dir_;
  std::vector<std::string> files_;
};

}  // namespace

std::shared_ptr<const data::Dataset> picture_files(data::PictureList pictures) {
  const std::string left_out = pictures.left_out.text();
  SIMCLR_CHECK(!pictures.files.empty(), simclr::printable(pictures.dir),
               ": holds no .jpg, .jpeg or .png pictures, nor do the folders below it",
               left_out.empty() ? "" : " (left out: " + left_out + ")");
  return std::make_shared<PictureFiles>(std::move(pictures.dir), std::move(pictures.files));
}

simclr::Tensor view_of_picture(const std::string& path, const data::ViewMaker& views) {
  std::error_code error;
  SIMCLR_CHECK(!fs::is_directory(path, error), path, ": not a picture file; give a JPEG or PNG file");
  const simclr::Shape shape = views.view_shape();
  simclr::Tensor view = simclr::Tensor::empty({1, shape[0], shape[1], shape[2]});
  views.make_view(read_sample(path, -1), {}, static_cast<std::byte*>(view.raw_data()));
  return view;
}
