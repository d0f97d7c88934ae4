#include "../folder_files.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/pictures/part_names.h>
#include <simclr/data/pictures/picture_list.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

namespace simclr::data {
namespace {

namespace fs = std::filesystem;

/// Whether `folder` is `below` or lies above it; both are canonical.
bool holds(const fs::path& folder, const fs::path& below) {
  return std::mismatch(folder.begin(), folder.end(), below.begin(), below.end()).first == folder.end();
}

class Walk {
 public:
  /// `own`: without the folders in it, but for hidden ones.
  explicit Walk(PictureList& list, bool own = false) : list_(list), own_(own), root_(fs::canonical(list.dir)) {}

  void read_all() {
    std::vector<FolderEntry> entries;
    const std::error_code error = list_entries(list_.dir, entries);
    SIMCLR_CHECK(!error, printable(list_.dir), " cannot be listed: ", error.message());
    read(entries, {}, root_, false);
    settle_arrays(0);
  }

  /// Where the folder `name` in `dir`, whose canonical path is `real`, leads; empty: back.
  fs::path target(const FolderEntry& entry, const std::string& path, const fs::path& real) {
    std::error_code error;
    const fs::path there = entry.link ? fs::canonical(fs::path(list_.dir) / path, error) : real / entry.name;
    return error || holds(there, root_) || holds(there, real) ? fs::path() : there;
  }

 private:
  void read(const std::vector<FolderEntry>& entries, const std::string& path, const fs::path& real, bool hidden) {
    for (const FolderEntry& entry : entries) {
      const std::string here = path.empty() ? entry.name : path + '/' + entry.name;
      if (path.empty()) seen_.clear();
      if (entry.folder) {
        if (!own_ || hidden || is_hidden_folder(entry.name)) read_folder(entry, here, real, hidden);
      } else {
        take_file(entry, here, hidden);
      }
    }
  }

  /// Arrays that were found behind file `before` are pictures where there are no others.
  void settle_arrays(std::size_t before) {
    if (list_.files.size() == before) {
      for (const std::string& array : arrays_) list_.files.push_back(array);
    } else {
      for (const std::string& array : arrays_) list_.left_out.add_file(array, "");
    }
    arrays_ = {};
  }

  void read_folder(const FolderEntry& entry, const std::string& path, const fs::path& real, bool hidden) {
    LeftOut& out = list_.left_out;
    const bool hides = !hidden && is_hidden_folder(entry.name);
    if (hidden && entry.link) return;  // so that hidden folders end without being remembered
    const fs::path there = target(entry, path, real);
    if (there.empty() || (!hidden && !hides && !seen_.insert(there).second)) {
      if (!hidden && !hides && entry.link) out.links_back.push_back(path);
      return;
    }
    std::vector<FolderEntry> entries;
    const std::error_code error = list_entries(fs::path(list_.dir) / path, entries);
    if (error) {
      if (hidden || hides) return;
      out.unlisted.push_back(path);
      list_.warnings.push_back(printable((fs::path(list_.dir) / path).string()) + " cannot be listed (" +
                               error.message() + "), so what it holds is left out");
      return;
    }
    if (entries.empty() && !hidden && !hides) out.empty.push_back(path);
    const std::int64_t before = out.hidden;
    if (hidden || hides || part_role(entry.name) == PartRole::none) {
      read(entries, path, there, hidden || hides);
    } else {
      PathList outer = std::exchange(arrays_, {});
      const std::size_t files = list_.files.size();
      read(entries, path, there, false);
      settle_arrays(files);
      arrays_ = std::move(outer);
    }
    if (hides && out.hidden > before) out.hidden_folders.push_back(path);
  }

  void take_file(const FolderEntry& entry, const std::string& path, bool hidden) {
    LeftOut& out = list_.left_out;
    const bool named = is_picture_name(entry.name);
    if (entry.name.starts_with('.')) {
      if (!hidden) ++out.dotted;
    } else if (hidden) {
      if (named) ++out.hidden;
    } else if (named) {
      list_.files.push_back(path);
      list_.links = list_.links || entry.link;
    } else if (ending_of(entry.name) == ".npy" && !entry.dead) {
      arrays_.push_back(path);
      list_.links = list_.links || entry.link;
    } else if (entry.dead) {
      out.dead_links.push_back(path);
    } else {
      const std::string kind = entry.regular ? kind_of_file((fs::path(list_.dir) / path).string()) : std::string();
      if (is_read_kind(kind)) {
        list_.files.push_back(path);
        list_.links = list_.links || entry.link;
      } else {
        out.add_file(path, kind);
      }
    }
  }

  PictureList& list_;
  const bool own_;
  PathList arrays_;  // .npy files
  const fs::path root_;
  std::set<fs::path> seen_;  // folders, none hidden, that were read below the current one of `dir`, canonical
};

void check_folder(const std::string& dir) {
  std::error_code error;
  SIMCLR_CHECK(fs::exists(dir, error), printable(dir), ": there is no such folder; give a folder of pictures");
  SIMCLR_CHECK(fs::is_directory(dir, error), printable(dir),
               " is not a folder but a file; give the folder that holds the pictures");
}

constexpr std::size_t most_named = 3;

}  // namespace

void LeftOut::add_file(const std::string& path, const std::string& kind) {
  add_ending(ending_of(path), path.substr(0, path.rfind('/') + 1), kind);
}

void LeftOut::add_ending(const std::string& ending, const std::string& folder, const std::string& kind) {
  if (kind.empty()) {
    ++files[ending];
    file_folders[ending].insert(folder);
    return;
  }
  const std::string& shown = ending.empty() ? kind : ending;
  ++pictures[shown];
  picture_folders[shown].insert(folder);
  if (const std::string package = missing_package(kind); !package.empty()) packages[shown] = package;
}

std::string LeftOut::text() const {
  std::vector<std::string> parts;
  const auto where = [](const auto& folders, const std::string& ending) -> std::string {
    const auto found = folders.find(ending);
    std::vector<std::string> names;
    if (found != folders.end()) names.assign(found->second.begin(), found->second.end());
    std::erase(names, "");  // the place itself
    for (std::string& name : names) {
      if (name.size() > 1) name.pop_back();  // its slash
    }
    return names.empty() ? "" : " in " + listed(names, most_named);
  };
  for (const auto& [kind, count] : pictures) {
    const auto package = packages.find(kind);
    const std::string needed = count == 1 ? " that needs" : " that need";
    parts.push_back(counted(count, printable(kind) + " picture") + where(picture_folders, kind) +
                    (package == packages.end() ? "" : needed + " a build with " + package->second));
  }
  if (hidden > 0) parts.push_back(counted(hidden, "picture") + " in " + listed(hidden_folders, most_named));
  if (known > 0) parts.push_back(counted(known, "picture") + " that a place before has");
  for (const auto& [ending, count] : files) {
    parts.push_back(
        (ending.empty() ? counted(count, "file") + " without an ending" : counted(count, printable(ending) + " file")) +
        where(file_folders, ending));
  }
  if (dotted > 0) parts.push_back(counted(dotted, "file") + " that begin" + (dotted == 1 ? "s" : "") + " with a dot");
  const auto named = [&parts](const std::vector<std::string>& all, const std::string& one, const std::string& many) {
    if (!all.empty()) parts.push_back((all.size() == 1 ? one : many) + " " + listed(all, most_named));
  };
  named(links_back, "the link back", "the links back");
  named(dead_links, "the dead link", "the dead links");
  named(unlisted, "the folder that cannot be listed,", "the folders that cannot be listed,");
  named(empty, "the empty folder", "the empty folders");
  for (const auto& [problem, count] : rows) parts.push_back(counted(count, "row") + " " + problem);
  return joined(parts, ", ");
}

PictureList list_pictures(const std::string& dir) {
  check_folder(dir);
  PictureList pictures;
  pictures.dir = dir;
  Walk(pictures).read_all();
  return pictures;
}

PictureList list_own_pictures(const std::string& dir) {
  check_folder(dir);
  PictureList pictures;
  pictures.dir = dir;
  Walk(pictures, true).read_all();
  return pictures;
}

std::string kind_of_file(const std::string& path) {
  const std::string ending = ending_of(path);
  for (const char* notes : {".txt", ".json", ".xml", ".csv", ".md", ".html", ".yaml", ".yml"}) {
    if (ending == notes) return {};
  }
  std::array<char, 32> bytes{};
  std::ifstream file(path, std::ios::binary);
  file.read(bytes.data(), bytes.size());
  return picture_kind({reinterpret_cast<const std::uint8_t*>(bytes.data()), static_cast<std::size_t>(file.gcount())});
}

std::vector<std::string> list_folders(const std::string& dir) {
  check_folder(dir);
  std::vector<FolderEntry> entries;
  const std::error_code error = list_entries(dir, entries);
  SIMCLR_CHECK(!error, printable(dir), " cannot be listed: ", error.message());
  PictureList pictures;
  pictures.dir = dir;
  Walk walk(pictures);
  std::vector<std::string> folders;
  for (const FolderEntry& entry : entries) {
    if (!entry.folder || is_hidden_folder(entry.name)) continue;
    if (!walk.target(entry, entry.name, fs::canonical(dir)).empty()) folders.push_back(entry.name);
  }
  return folders;
}

}  // namespace simclr::data
