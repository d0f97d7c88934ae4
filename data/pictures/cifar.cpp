#include "../file.h"
#include "published_files.h"

#include <simclr/core/error.h>
#include <simclr/core/parallel.h>
#include <simclr/data/pictures/cifar.h>

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <sstream>
#include <utility>

namespace simclr::data {
namespace {

constexpr std::int64_t side = 32, plane = side * side, picture_bytes = 3 * plane;

/// What the two data sets differ in.
struct Layout {
  const char* op;            // opens the error messages
  const char* title;         // what a reader calls it
  const char* folder;        // where the published archive unpacks to
  const char* names_file;    // one class name a line
  std::int64_t label_bytes;  // the last of them is the label
  std::int32_t class_count;
  std::vector<std::string> files;  // of the split
  std::int64_t records_a_file;     // published; more is an error

  std::int64_t record_bytes() const { return label_bytes + picture_bytes; }
  PublishedSet set() const { return {op, title, folder}; }
};

std::vector<std::string> default_classes(const Layout& layout) {
  if (layout.class_count == 10) {
    return {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
  }
  std::vector<std::string> classes;
  for (std::int32_t i = 0; i < layout.class_count; ++i) classes.push_back("class " + std::to_string(i));
  return classes;
}

std::vector<std::string> classes_in(const std::string& folder, const Layout& layout) {
  const auto names = read_class_names(folder + "/" + layout.names_file, layout.set(), layout.class_count);
  return names.empty() ? default_classes(layout) : names;
}

std::int64_t records_in(const OpenFile& file, const Layout& layout) {
  const std::int64_t record = layout.record_bytes(), size = file.size();
  SIMCLR_CHECK(size > 0, layout.op, ": ", file.path(), " is empty; fetch it again");
  SIMCLR_CHECK(size % record == 0, layout.op, ": ", file.path(), " has ", size, " bytes, no multiple of a record's ",
               record, ": truncated or not ", layout.title, "; fetch it again");
  SIMCLR_CHECK(size <= record * layout.records_a_file, layout.op, ": ", file.path(), " holds ", size / record,
               " records, more than the published ", layout.records_a_file, "; fetch it again");
  return size / record;
}

struct File {
  std::unique_ptr<const OpenFile> bytes;
  std::int64_t first, count;  // the samples in it
};

/// Keeps labels, and reads a picture when it is asked for: so a start touches no memory for pictures, and they lie in
/// memory once only, in the system's cache.
class Cifar final : public Dataset {
 public:
  Cifar(const std::string& folder, Split split, Layout layout)
      : layout_(std::move(layout)), classes_(classes_in(folder, layout_)) {
    std::int64_t count = 0;
    for (const std::string& file : layout_.files) {
      auto bytes = std::make_unique<const OpenFile>(folder + "/" + file, layout_.op);
      const std::int64_t records = records_in(*bytes, layout_);
      files_.push_back({std::move(bytes), count, records});
      count += records;
    }
    labels_.resize(static_cast<std::size_t>(count));
    for (const File& file : files_) read_labels(file);
    std::ostringstream line;
    line << layout_.title << " " << name(split) << ": " << count << " pictures " << Shape{side, side, 3} << ", "
         << layout_.class_count << " classes, from " << folder;
    description_ = line.str();
  }

  std::int64_t size() const override { return static_cast<std::int64_t>(labels_.size()); }

  Sample sample(std::int64_t i, int) const override {
    const std::int32_t sample_label = label(i);
    const File& file = *std::find_if(files_.begin(), files_.end(),
                                     [i](const File& candidate) { return i < candidate.first + candidate.count; });
    const std::int64_t number = i - file.first;
    std::array<std::uint8_t, picture_bytes> planes;
    const std::string problem = file.bytes->read(number * layout_.record_bytes() + layout_.label_bytes, planes);
    SIMCLR_CHECK(problem.empty(), layout_.op, ": cannot read record ", number, " of ", file.bytes->path(), ": ",
                 problem, "; fetch it again");
    const auto pixels = std::make_shared<std::array<std::uint8_t, picture_bytes>>();
    for (std::size_t p = 0; p < plane; ++p) {
      for (std::size_t c = 0; c < 3; ++c) (*pixels)[3 * p + c] = planes[c * plane + p];
    }
    return {
        .bytes = std::as_bytes(std::span(*pixels)), .shape = {side, side, 3}, .label = sample_label, .owner = pixels};
  }

  std::int32_t label(std::int64_t i) const override {
    SIMCLR_CHECK(i >= 0 && i < size(), layout_.op, ": sample ", i, " of ", size());
    return labels_[static_cast<std::size_t>(i)];
  }

  const std::vector<std::string>& classes() const override { return classes_; }
  std::string describe() const override { return description_; }

 private:
  /// Through a buffer that stays in a core's cache: reading each label alone takes longer.
  void read_labels(const File& file) {
    constexpr std::int64_t most = 64;  // records in the buffer
    parallel_for(file.count, most, [&](std::int64_t begin, std::int64_t end) {
      std::vector<std::uint8_t> buffer(static_cast<std::size_t>(most * layout_.record_bytes()));
      for (std::int64_t first = begin; first < end; first += most) {
        const std::int64_t count = std::min(most, end - first);
        const std::span records(buffer.data(), static_cast<std::size_t>(count * layout_.record_bytes()));
        const std::string problem = file.bytes->read(first * layout_.record_bytes(), records);
        SIMCLR_CHECK(problem.empty(), layout_.op, ": cannot read ", file.bytes->path(), ": ", problem,
                     "; fetch it again");
        for (std::int64_t k = 0; k < count; ++k) {
          const std::int32_t label =
              buffer[static_cast<std::size_t>(k * layout_.record_bytes() + layout_.label_bytes - 1)];
          SIMCLR_CHECK(label < layout_.class_count, layout_.op, ": record ", first + k, " of ", file.bytes->path(),
                       " has label ", label, ", the largest is ", layout_.class_count - 1, ": damaged or not ",
                       layout_.title, "; fetch it again");
          labels_[static_cast<std::size_t>(file.first + first + k)] = label;
        }
      }
    });
  }

  const Layout layout_;
  const std::vector<std::string> classes_;
  std::vector<File> files_;
  std::vector<std::int32_t> labels_;
  std::string description_;
};

std::unique_ptr<Dataset> open(const std::string& dir, Split split, const Layout& layout) {
  return std::make_unique<Cifar>(find_published(dir, layout.set(), layout.files.front()), split, layout);
}

}  // namespace

std::unique_ptr<Dataset> cifar10(const std::string& dir, Split split) {
  Layout layout{.op = "cifar10",
                .title = "CIFAR-10",
                .folder = "cifar-10-batches-bin",
                .names_file = "batches.meta.txt",
                .label_bytes = 1,
                .class_count = 10,
                .files = {"test_batch.bin"},
                .records_a_file = 10000};
  if (split == Split::train) {
    layout.files.clear();
    for (int i = 1; i <= 5; ++i) layout.files.push_back("data_batch_" + std::to_string(i) + ".bin");
  }
  return open(dir, split, layout);
}

std::unique_ptr<Dataset> cifar100(const std::string& dir, Split split) {
  const bool train = split == Split::train;
  return open(dir, split,
              {.op = "cifar100",
               .title = "CIFAR-100",
               .folder = "cifar-100-binary",
               .names_file = "fine_label_names.txt",
               .label_bytes = 2,
               .class_count = 100,
               .files = {train ? "train.bin" : "test.bin"},
               .records_a_file = train ? 50000 : 10000});
}

}  // namespace simclr::data
