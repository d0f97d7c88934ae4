#include "file.h"
#include "memory_dataset.h"

#include <simclr/core/error.h>
#include <simclr/core/host_memory.h>
#include <simclr/core/parallel.h>
#include <simclr/data/cifar.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
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

std::int64_t records_in(const std::string& path, const Layout& layout) {
  const std::int64_t record = layout.label_bytes + picture_bytes;
  const std::int64_t size = file_size(path, layout.op);
  SIMCLR_CHECK(size > 0, layout.op, ": ", path, " is empty; fetch it again");
  SIMCLR_CHECK(size % record == 0, layout.op, ": ", path, " has ", size, " bytes, no multiple of a record's ", record,
               ": truncated or not ", layout.title, "; fetch it again");
  SIMCLR_CHECK(size <= record * layout.records_a_file, layout.op, ": ", path, " holds ", size / record,
               " records, more than the published ", layout.records_a_file, "; fetch it again");
  return size / record;
}

/// Some records of a file, and where they go.
struct Part {
  const std::string* path;
  std::int64_t first, count;
  std::int64_t place;  // of the first among all samples
};

/// Reads the labels and the pictures, planes interleaved. `records` is overwritten.
void read_records(const Part& part, const Layout& layout, std::vector<std::uint8_t>& records, std::int32_t* labels,
                  std::uint8_t* pixels) {
  const std::int64_t record = layout.label_bytes + picture_bytes;
  records.resize(static_cast<std::size_t>(part.count * record));
  read_part(*part.path, layout.op, part.first * record, records);
  for (std::int64_t i = 0; i < part.count; ++i) {
    const std::uint8_t* planes = records.data() + i * record + layout.label_bytes;
    const std::int32_t label = planes[-1];
    SIMCLR_CHECK(label < layout.class_count, layout.op, ": record ", part.first + i, " of ", *part.path, " has label ",
                 label, ", the largest is ", layout.class_count - 1, ": damaged or not ", layout.title,
                 "; fetch it again");
    labels[part.place + i] = label;
    std::uint8_t* to = pixels + (part.place + i) * picture_bytes;
    for (std::int64_t p = 0; p < plane; ++p) {
      for (std::int64_t c = 0; c < 3; ++c) to[3 * p + c] = planes[c * plane + p];
    }
  }
}

std::unique_ptr<Dataset> read(const std::string& dir, Split split, const Layout& layout) {
  const std::string folder = find_folder(dir, layout);
  MemoryData data{.bytes = {}, .shape = {side, side, 3}, .labels = {}, .classes = {}, .description = {}};
  data.classes = read_classes(folder + "/" + layout.names_file, layout);
  std::vector<std::string> paths;
  for (const std::string& file : layout.files) paths.push_back(folder + "/" + file);
  std::vector<Part> parts;
  std::int64_t count = 0;
  for (const std::string& path : paths) {
    constexpr std::int64_t most = 256;  // what lies in a cache between reading and interleaving
    const std::int64_t records = records_in(path, layout);
    for (std::int64_t first = 0; first < records; first += most) {
      parts.push_back({&path, first, std::min(most, records - first), count + first});
    }
    count += records;
  }
  // The first touch of so much memory takes as long as reading it: threads share it, and no vector fills it before.
  const auto bytes = static_cast<std::size_t>(count * picture_bytes);
  const std::shared_ptr<std::uint8_t> pixels(static_cast<std::uint8_t*>(take_host_memory(bytes)), std::free);
  SIMCLR_CHECK(pixels, layout.op, ": no memory for ", bytes, " bytes of pictures; free some");
  data.labels.resize(static_cast<std::size_t>(count));
  parallel_for(static_cast<std::int64_t>(parts.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::uint8_t> records;
    for (std::int64_t i = begin; i < end; ++i)
      read_records(parts[i], layout, records, data.labels.data(), pixels.get());
  });
  std::ostringstream line;
  line << layout.title << " " << name(split) << ": " << data.labels.size() << " pictures " << data.shape << ", "
       << layout.class_count << " classes, from " << folder;
  data.description = line.str();
  return memory_dataset(std::move(data), {pixels.get(), bytes}, pixels);
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
