#include "train/data_files.h"

#include "run/command_line.h"
#include "run/progress.h"

#include <simclr/core/crc64.h>
#include <simclr/core/text.h>

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <utility>

namespace fs = std::filesystem;
using nlohmann::ordered_json;

namespace {

constexpr std::size_t most_named = 6;  // folders in a line

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

  ordered_json json() const {
    ordered_json by_folder = ordered_json::object();
    for (const auto& [name, files] : folders) by_folder[utf8(name)] = {files.count, simclr::hex(files.digest)};
    return {{"files", all.count}, {"bytes", bytes}, {"content", simclr::hex(all.digest)}, {"folders", by_folder}};
  }
};

std::uint64_t digest_of(const std::string& name, std::uintmax_t bytes) {
  simclr::Crc64 digest;
  digest.update(name.data(), name.size());
  digest.update(&bytes, sizeof bytes);
  return digest.value();
}

void list(const std::function<bool(const std::string&)>& is_data, const fs::path& folder, const std::string& name,
          Listing& out) {
  struct stat status {};
  if (stat(folder.c_str(), &status) != 0 || !out.seen.emplace(status.st_dev, status.st_ino).second) return;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string each = entry->path().filename().string();
    std::error_code ignored;
    if (entry->is_directory(ignored)) {
      if (!each.starts_with('.')) list(is_data, entry->path(), name.empty() ? each : name + "/" + each, out);
    } else if (is_data(each) && entry->is_regular_file(ignored)) {
      const std::uintmax_t bytes = entry->file_size(ignored);
      out.add(name, digest_of(each, bytes), bytes);
    }
  }
}

}  // namespace

ordered_json list_data_files(const std::string& dir, const std::vector<std::string>& files) {
  Listing found;
  for (const fs::path file : files) {
    std::error_code error;
    const std::uintmax_t bytes = fs::file_size(dir / file, error);
    found.add(file.parent_path().string(), digest_of(file.filename().string(), error ? 0 : bytes), error ? 0 : bytes);
  }
  return found.json();
}

ordered_json list_data_files(const std::string& dir, const std::function<bool(const std::string&)>& is_data) {
  Listing found;
  list(is_data, dir, "", found);
  return found.json();
}

std::string data_files_differ(const ordered_json& before, const ordered_json& now) {
  if (before == now) return "";
  const auto folders_of = [](const ordered_json& listing) { return listing.value("folders", ordered_json::object()); };
  const auto count_of = [](const ordered_json& folder) {
    return folder.is_array() && !folder.empty() && folder[0].is_number_integer() ? folder[0].get<std::int64_t>() : 0;
  };
  const ordered_json was = folders_of(before), is = folders_of(now);
  std::set<std::string> names;
  for (const auto* each : {&was, &is}) {
    for (const auto& [name, files] : each->items()) names.insert(name);
  }
  std::string line;
  std::size_t named = 0;
  for (const std::string& name : names) {
    const ordered_json none, &a = was.contains(name) ? was[name] : none, &b = is.contains(name) ? is[name] : none;
    if (a == b || ++named > most_named) continue;
    line += (line.empty() ? "" : ", ") + (name.empty() ? "the folder itself" : name);
    if (b.is_null()) {
      line += " is gone (" + counted(count_of(a), "file") + ")";
    } else if (a.is_null()) {
      line += " is new (" + counted(count_of(b), "file") + ")";
    } else if (count_of(a) != count_of(b)) {
      line += " " + std::to_string(count_of(a)) + " -> " + counted(count_of(b), "file");
    } else {
      line += " has other names or sizes";
    }
  }
  if (named > most_named) line += " and " + counted(static_cast<std::int64_t>(named - most_named), "folder") + " more";
  if (before.value("content", "") == now.value("content", "")) return line + "; the same files in other folders";
  return line + "; " + std::to_string(before.value("files", std::int64_t{0})) + " -> " +
         counted(now.value("files", std::int64_t{0}), "file") + " in all";
}
