#include "modalities/picture_data_files.h"

#include "modalities/picture_sets.h"
#include "run/command_line.h"

#include <simclr/core/crc64.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/picture_list.h>

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string_view>
#include <utility>

namespace fs = std::filesystem;
using nlohmann::ordered_json;

namespace {

/// Of files in any order: the sum of each one's own digest.
struct Files {
  std::int64_t count = 0;
  std::uint64_t digest = 0;

  void add(std::uint64_t each) {
    ++count;
    digest += each;
  }
};

struct Listing {
  Files all;
  std::int64_t bytes = 0;
  std::map<std::string, Files> folders;
  std::set<std::pair<dev_t, ino_t>> seen = {};  // folders: a link may lead back

  void add(const std::string& folder, std::uint64_t digest, std::uintmax_t size) {
    all.add(digest);
    folders[folder].add(digest);
    bytes += static_cast<std::int64_t>(size);
  }
};

std::uint64_t digest_of(const std::string& name, std::uintmax_t bytes) {
  simclr::Crc64 digest;
  digest.update(name.data(), name.size());
  digest.update(&bytes, sizeof bytes);
  return digest.value();
}

/// Whether a file is data of a kind that is known by its files' names.
bool is_data(const std::string& kind, const std::string& name) {
  if (kind == "cifar10")
    return name.ends_with("_batch.bin") || (name.starts_with("data_batch_") && name.ends_with(".bin"));
  if (kind == "cifar100") return name == "train.bin" || name == "test.bin";
  return name.find("-ubyte") != std::string::npos;
}

/// What cannot be listed is left out: opening the data set says so.
void list(const std::string& kind, const fs::path& folder, const std::string& name, Listing& out) {
  struct stat status {};
  if (stat(folder.c_str(), &status) != 0 || !out.seen.emplace(status.st_dev, status.st_ino).second) return;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string each = entry->path().filename().string();
    std::error_code ignored;
    if (entry->is_directory(ignored)) {
      if (!each.starts_with('.')) list(kind, entry->path(), name.empty() ? each : name + "/" + each, out);
    } else if (is_data(kind, each) && entry->is_regular_file(ignored)) {
      const std::uintmax_t bytes = entry->file_size(ignored);
      out.add(name, digest_of(each, bytes), bytes);
    }
  }
}

/// The pictures that the programs read.
void list_folder(const std::string& dir, Listing& out) {
  for (const fs::path file : simclr::data::list_pictures(dir).files) {
    std::error_code error;
    const std::uintmax_t bytes = fs::file_size(dir / file, error);  // an error: a dead link, which reading tells
    out.add(file.parent_path().string(), digest_of(file.filename().string(), error ? 0 : bytes), error ? 0 : bytes);
  }
}

}  // namespace

ordered_json list_data_files(const std::string& kind, const std::string& dir) {
  Listing found;
  if (kind == "folder") {
    list_folder(data_place(kind, dir), found);
  } else {
    list(kind, data_place(kind, dir), "", found);
  }
  ordered_json folders = ordered_json::object();
  for (const auto& [name, files] : found.folders) folders[utf8(name)] = {files.count, simclr::hex(files.digest)};
  return {{"files", found.all.count},
          {"bytes", found.bytes},
          {"content", simclr::hex(found.all.digest)},
          {"folders", folders}};
}
