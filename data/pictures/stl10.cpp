#include "../file.h"
#include "published_files.h"

#include <simclr/core/error.h>
#include <simclr/data/pictures/stl10.h>

#include <array>
#include <memory>
#include <span>
#include <sstream>

namespace simclr::data {
namespace {

constexpr std::int64_t side = 96, plane = side * side, picture_bytes = 3 * plane;
constexpr std::int32_t class_count = 10;
constexpr PublishedSet published = {"stl10", "STL-10", "stl10_binary"};
const char* const op = published.op;

/// What the parts differ in.
struct Layout {
  const char *name, *pictures, *labels;
  std::int64_t most;  // pictures, as published; more is an error
};

constexpr Layout layout_of(Stl10Part part) {
  switch (part) {
    case Stl10Part::train: return {"train", "train_X.bin", "train_y.bin", 5000};
    case Stl10Part::test: return {"test", "test_X.bin", "test_y.bin", 8000};
    case Stl10Part::unlabelled: break;
  }
  return {"unlabelled", "unlabeled_X.bin", nullptr, 100000};
}

std::vector<std::string> classes_in(const std::string& folder) {
  auto names = read_class_names(folder + "/class_names.txt", published, class_count);
  if (!names.empty()) return names;
  return {"airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"};
}

std::int64_t pictures_in(const OpenFile& file, const Layout& layout) {
  const std::int64_t size = file.size();
  SIMCLR_CHECK(size > 0, op, ": ", file.path(), " is empty; fetch it again");
  SIMCLR_CHECK(size % picture_bytes == 0, op, ": ", file.path(), " has ", size, " bytes, no multiple of a picture's ",
               picture_bytes, ": truncated or not STL-10; fetch it again");
  SIMCLR_CHECK(size <= picture_bytes * layout.most, op, ": ", file.path(), " holds ", size / picture_bytes,
               " pictures, more than the published ", layout.most, "; fetch it again");
  return size / picture_bytes;
}

std::vector<std::int32_t> labels_in(const std::string& path, std::int64_t pictures) {
  const OpenFile file(path, op);
  SIMCLR_CHECK(file.size() == pictures, op, ": ", path, " holds ", file.size(), " labels for ", pictures,
               " pictures; fetch it again");
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(pictures));
  const std::string problem = file.read(0, bytes);
  SIMCLR_CHECK(problem.empty(), op, ": cannot read ", path, ": ", problem, "; fetch it again");
  std::vector<std::int32_t> labels;
  for (const std::uint8_t byte : bytes) {
    SIMCLR_CHECK(byte >= 1 && byte <= class_count, op, ": label ", labels.size(), " of ", path, " is ", int{byte},
                 ", not from 1 to ", class_count, ": damaged or not STL-10; fetch it again");
    labels.push_back(byte - 1);
  }
  return labels;
}

class Stl10 final : public Dataset {
 public:
  Stl10(const std::string& folder, const Layout& layout)
      : pictures_(folder + "/" + layout.pictures, op), size_(pictures_in(pictures_, layout)) {
    std::ostringstream line;
    line << "STL-10 " << layout.name << ": " << size_ << " pictures " << Shape{side, side, 3};
    if (layout.labels) {
      labels_ = labels_in(folder + "/" + layout.labels, size_);
      classes_ = classes_in(folder);
      line << ", " << class_count << " classes";
    }
    line << ", from " << folder;
    description_ = line.str();
  }

  std::int64_t size() const override { return size_; }

  Sample sample(std::int64_t i, int) const override {
    const std::int32_t sample_label = label(i);
    std::array<std::uint8_t, picture_bytes> planes;
    const std::string problem = pictures_.read(i * picture_bytes, planes);
    SIMCLR_CHECK(problem.empty(), op, ": cannot read picture ", i, " of ", pictures_.path(), ": ", problem,
                 "; fetch it again");
    const auto pixels = std::make_shared<std::array<std::uint8_t, picture_bytes>>();
    std::uint8_t* to = pixels->data();
    for (std::int64_t y = 0; y < side; ++y) {
      for (std::int64_t x = 0; x < side; ++x) {
        for (std::int64_t c = 0; c < 3; ++c) *to++ = planes[static_cast<std::size_t>(c * plane + x * side + y)];
      }
    }
    return {
        .bytes = std::as_bytes(std::span(*pixels)), .shape = {side, side, 3}, .label = sample_label, .owner = pixels};
  }

  std::int32_t label(std::int64_t i) const override {
    SIMCLR_CHECK(i >= 0 && i < size_, op, ": sample ", i, " of ", size_);
    return labels_.empty() ? -1 : labels_[static_cast<std::size_t>(i)];
  }

  const std::vector<std::string>& classes() const override { return classes_; }
  std::string describe() const override { return description_; }

 private:
  const OpenFile pictures_;
  const std::int64_t size_;
  std::vector<std::int32_t> labels_;
  std::vector<std::string> classes_;
  std::string description_;
};

}  // namespace

std::unique_ptr<Dataset> stl10(const std::string& dir, Stl10Part part) {
  const Layout layout = layout_of(part);
  return std::make_unique<Stl10>(find_published(dir, published, layout.pictures), layout);
}

bool has_unlabelled_stl10(const std::string& dir) {
  return !published_folder(dir, published, layout_of(Stl10Part::unlabelled).pictures).empty();
}

}  // namespace simclr::data
