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

void add_labels(simclr::Crc64& digest, const simclr::data::Dataset& samples) {
  for (const std::string& name : samples.classes()) digest.update(name.c_str(), name.size() + 1);
  for (std::int64_t i = 0; i < samples.size(); ++i) {
    const std::int32_t label = samples.label(i);
    const std::string file = samples.file(i);
    const std::size_t name = file.rfind('/') + 1;    // its folder is another where the data were moved
    if (label < 0 && name == file.size()) continue;  // all that is known is its number
    digest.update(&i, sizeof i);
    digest.update(&label, sizeof label);
    digest.update(file.c_str() + name, file.size() - name + 1);
  }
}

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

/// Files whose samples are others.
std::string within_differs(const ordered_json& before, const ordered_json& now, const std::string& sample_name) {
  const ordered_json was = before.value("within", ordered_json::object());
  const ordered_json is = now.value("within", ordered_json::object());
  if (was.empty()) return "";  // of a version that looked into none
  std::set<std::string> differ;
  for (const auto* each : {&was, &is}) {
    for (const auto& [file, digest] : each->items()) {
      if (was.value(file, "") != is.value(file, "")) differ.insert(file);
    }
  }
  if (differ.empty()) return "";
  return "other " + sample_name + "s in " + simclr::listed({differ.begin(), differ.end()}, most_named);
}

std::string labels_differ(const ordered_json& before, const ordered_json& now, const std::string& sample_name) {
  const ordered_json was = before.value("labels", ordered_json::object());
  const ordered_json is = now.value("labels", ordered_json::object());  // items() keeps no copy
  if (was.empty()) return "";                                           // of a version that knew nothing of labels
  std::set<std::string> differ;
  for (const auto* each : {&was, &is}) {
    for (const auto& [part, digest] : each->items()) {
      if (was.value(part, "") != is.value(part, "")) differ.insert(part);
    }
  }
  const std::string parts = simclr::joined({differ.begin(), differ.end()}, " and ");
  return parts.empty() ? "" : "the " + parts + " " + sample_name + "s have other labels or another order";
}

/// Whether both list folders of the same names and files by other paths, as those of several places are called from the
/// first one.
bool other_paths(const ordered_json& was, const ordered_json& is) {
  std::multiset<std::string> before, now;
  bool outside = false;
  for (const auto& [all, folders] : {std::pair(&was, &before), std::pair(&is, &now)}) {
    for (const auto& [name, files] : all->items()) {
      folders->insert(fs::path(name).filename().string() + files.dump());
      outside = outside || name.starts_with("../");
    }
  }
  return outside && before == now;
}

}  // namespace

ordered_json list_data_files(const std::string& dir, const simclr::data::PathList& files) {
  Listing found;
  const std::string before = (fs::path(dir) / "").string();
  for (const std::string& file : files) {  // a million of them, so no path is taken apart
    struct stat status {};
    const std::uintmax_t bytes = stat((file.starts_with('/') ? file : before + file).c_str(), &status) == 0
                                     ? static_cast<std::uintmax_t>(status.st_size)
                                     : 0;
    const std::size_t name = file.rfind('/') + 1;  // 0 where there is no folder
    found.add(file.substr(0, name == 0 ? 0 : name - 1), digest_of(file.substr(name), bytes), bytes);
  }
  return found.json();
}

ordered_json list_data_files(const std::string& dir, const std::function<bool(const std::string&)>& is_data) {
  Listing found;
  list(is_data, dir, "", found);
  return found.json();
}

ordered_json digest_labels(const Datasets& sets) {
  simclr::Crc64 training, test;
  if (sets.whole) {
    add_labels(training, *sets.whole);
    return {{"training and test", simclr::hex(training.value())}};
  }
  add_labels(training, *sets.train);
  if (sets.labelled && sets.labelled != sets.train) add_labels(training, *sets.labelled);
  ordered_json digests = {{"training", simclr::hex(training.value())}};
  if (!sets.test) return digests;
  add_labels(test, *sets.test);
  digests["test"] = simclr::hex(test.value());
  return digests;
}

std::string data_differ(const ordered_json& before, const ordered_json& now, const std::string& sample_name,
                        const std::string& own) {
  const auto folders_of = [](const ordered_json& listing) { return listing.value("folders", ordered_json::object()); };
  const auto count_of = [](const ordered_json& folder) {
    return folder.is_array() && !folder.empty() && folder[0].is_number_integer() ? folder[0].get<std::int64_t>() : 0;
  };
  const ordered_json was = folders_of(before), is = folders_of(now);
  const std::string within = within_differs(before, now, sample_name);
  if (was == is) return within.empty() ? labels_differ(before, now, sample_name) : within;
  if (other_paths(was, is)) return "the same files, but the places that hold them have another order, or lie elsewhere";
  std::set<std::string> names;
  for (const auto* each : {&was, &is}) {
    for (const auto& [name, files] : each->items()) names.insert(name);
  }
  std::string line;
  std::size_t named = 0;
  for (const std::string& name : names) {
    const ordered_json none, &a = was.contains(name) ? was[name] : none, &b = is.contains(name) ? is[name] : none;
    if (a == b || ++named > most_named) continue;
    line += (line.empty() ? "" : ", ") + (name.empty() ? own : name);
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
  if (!within.empty()) {
    line += "; " + within;
  } else if (before.value("content", "") == now.value("content", "")) {
    return line + "; the same files in other folders";
  }
  const std::int64_t files = before.value("files", std::int64_t{0}), files_now = now.value("files", std::int64_t{0});
  return line + "; " + (files == files_now ? "" : std::to_string(files) + " -> ") + counted(files_now, "file") +
         " in all";
}

bool test_part_differs(const ordered_json& before, const ordered_json& now, const std::set<std::string>& of_training) {
  const auto differs = [&](const char* key, const std::set<std::string>& besides) {
    ordered_json was = before.value(key, ordered_json::object()), is = now.value(key, ordered_json::object());
    if (was.empty()) return false;
    for (const std::string& name : besides) {
      was.erase(name);
      is.erase(name);
    }
    return was != is;
  };
  return differs("labels", {"training"}) || differs("within", of_training);
}
