#include "common/picture_files.h"

#include <simclr/core/error.h>
#include <simclr/data/image_io.h>
#include <simclr/data/views.h>

#include <algorithm>
#include <filesystem>
#include <utility>

namespace data = simclr::data;
namespace fs = std::filesystem;

namespace {

data::Sample read_sample(const std::string& path, std::int32_t label) {
  const auto picture = std::make_shared<const data::Picture>(data::read_picture(path));
  return {.bytes = picture->pixels,
          .shape = {picture->height, picture->width, picture->channels},
          .label = label,
          .owner = picture};
}

class PictureFiles final : public data::Dataset {
 public:
  PictureFiles(std::string dir, std::vector<std::string> files) : dir_(std::move(dir)), files_(std::move(files)) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(files_.size()); }

  data::Sample sample(std::int64_t i) const override {
    const std::string& file = files_[static_cast<std::size_t>(label(i))];
    if (file.find('\n') != std::string::npos) {  // files.txt has one path a line
      simclr::fail(data::printable(file), ": the name holds a line break; rename the file");
    }
    return read_sample((fs::path(dir_) / file).string(), label(i));
  }

  std::int32_t label(std::int64_t i) const override {
    SIMCLR_CHECK(i >= 0 && i < size(), "picture ", i, " of ", size());
    return static_cast<std::int32_t>(i);
  }

  const std::vector<std::string>& classes() const override { return files_; }
  std::string describe() const override { return std::to_string(size()) + " pictures in " + dir_; }

 private:
  std::string dir_;
  std::vector<std::string> files_;
};

}  // namespace

std::shared_ptr<const data::Dataset> picture_files(const std::string& dir) {
  std::error_code error;
  SIMCLR_CHECK(fs::is_directory(dir, error), dir, ": there is no such folder; give a folder of pictures");
  std::vector<std::string> files;
  fs::recursive_directory_iterator entry(dir, error), end;
  for (; !error && entry != end; entry.increment(error)) {
    std::error_code unknown;
    if (entry->path().filename().string().starts_with('.')) {
      entry.disable_recursion_pending();
    } else if (!entry->is_directory(unknown) && data::is_picture_name(entry->path().string())) {
      files.push_back(entry->path().lexically_relative(dir).string());
    }
  }
  SIMCLR_CHECK(!error, dir, ": cannot be listed: ", error.message());
  SIMCLR_CHECK(!files.empty(), dir, ": holds no .jpg, .jpeg or .png pictures, nor do the folders below it");
  std::sort(files.begin(), files.end());
  return std::make_shared<PictureFiles>(dir, std::move(files));
}

simclr::Tensor view_of_picture(const std::string& path, const data::Augmentation& policy) {
  std::error_code error;
  SIMCLR_CHECK(!fs::is_directory(path, error), path, ": not a picture file; give a JPEG or PNG file");
  const data::PictureViews views(policy.evaluation());
  simclr::Tensor view = simclr::Tensor::empty({1, policy.size, policy.size, policy.channels});
  views.make_view(read_sample(path, -1), 0, 0, 0, 0, view.data<float>());
  return view;
}
