#include "file.h"

#include <simclr/core/error.h>
#include <simclr/data/cifar.h>

#include <filesystem>
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
};

std::string find_folder(const std::string& dir, const Layout& layout) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  for (const fs::path& folder : {fs::path(dir), fs::path(dir) / layout.folder}) {
    if (fs::exists(folder / layout.files.front(), ignored)) return folder.string();
  }
  SIMCLR_CHECK(fs::is_directory(dir, ignored), layout.op, ": there is no folder ", dir,
               "; give the folder with the binary version of ", layout.title);
  fail(layout.op, ": no ", layout.files.front(), " in ", dir, " or ", (fs::path(dir) / layout.folder).string(),
       "; give the folder with the binary version of ", layout.title, " (not the Python or Matlab one)");
}

std::vector<std::string> default_classes(const Layout& layout) {
  if (layout.class_count == 10) {
    return {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
  }
  std::vector<std::string> classes;
  for (std::int32_t i = 0; i < layout.class_count; ++i) classes.push_back("class " + std::to_string(i));
  return classes;
}

std::vector<std::string> read_classes(const std::string& path, const Layout& layout) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return default_classes(layout);
  const std::vector<std::uint8_t> bytes = read_file(path, layout.op, 1 << 16);
  std::istringstream text(std::string(bytes.begin(), bytes.end()));
  std::vector<std::string> classes;
  for (std::string line; std::getline(text, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) classes.push_back(line);
  }
  SIMCLR_CHECK(static_cast<std::int32_t>(classes.size()) == layout.class_count, layout.op, ": ", path, " names ",
               classes.size(), " classes, ", layout.class_count, " expected; restore or delete it");
  return classes;
}

/// Appends the pictures of one file, planes interleaved, and their labels.
void append_file(const std::string& path, const Layout& layout, MemoryData& data) {
  const std::int64_t record = layout.label_bytes + picture_bytes;
  const std::int64_t size = file_size(path, layout.op);
  SIMCLR_CHECK(size > 0, layout.op, ": ", path, " is empty; fetch it again");
  SIMCLR_CHECK(size % record == 0, layout.op, ": ", path, " has ", size, " bytes, no multiple of a record's ", record,
               ": truncated or not ", layout.title, "; fetch it again");
  SIMCLR_CHECK(size <= record * layout.records_a_file, layout.op, ": ", path, " holds ", size / record,
               " records, more than the published ", layout.records_a_file, "; fetch it again");
  const std::vector<std::uint8_t> file = read_file(path, layout.op, size);
  const std::int64_t count = static_cast<std::int64_t>(file.size()) / record;
  std::size_t end = data.bytes.size();
  data.bytes.resize(end + static_cast<std::size_t>(count * picture_bytes));
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint8_t* planes = file.data() + i * record + layout.label_bytes;
    const std::int32_t label = planes[-1];
    SIMCLR_CHECK(label < layout.class_count, layout.op, ": record ", i, " of ", path, " has label ", label,
                 ", the largest is ", layout.class_count - 1, ": damaged or not ", layout.title, "; fetch it again");
    data.labels.push_back(label);
    std::uint8_t* pixels = data.bytes.data() + end;
    for (std::int64_t p = 0; p < plane; ++p) {
      for (std::int64_t c = 0; c < 3; ++c) pixels[3 * p + c] = planes[c * plane + p];
    }
    end += static_cast<std::size_t>(picture_bytes);
  }
}

std::unique_ptr<Dataset> read(const std::string& dir, Split split, const Layout& layout) {
  const std::string folder = find_folder(dir, layout);
  MemoryData data{.bytes = {}, .shape = {side, side, 3}, .labels = {}, .classes = {}, .description = {}};
  data.classes = read_classes(folder + "/" + layout.names_file, layout);
  for (const std::string& file : layout.files) append_file(folder + "/" + file, layout, data);
  std::ostringstream line;
  line << layout.title << " " << name(split) << ": " << data.labels.size() << " pictures " << data.shape << ", "
       << layout.class_count << " classes, from " << folder;
  data.description = line.str();
  return memory_dataset(std::move(data));
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
  return read(dir, split, layout);
}

std::unique_ptr<Dataset> cifar100(const std::string& dir, Split split) {
  const bool train = split == Split::train;
  return read(dir, split,
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
