#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/pictures/picture_list.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <set>
#include <system_error>

namespace simclr::data {
namespace {

namespace fs = std::filesystem;

/// What a folder holds, without its files' contents.
struct Entry {
  std::string name;
  bool folder = false, link = false, dead = false, regular = false;
};

bool is_hidden_folder(const std::string& name) {
  return name.starts_with('.') || name.starts_with('@') || name.starts_with("__");
}

/// Sorted by name. Returns what went wrong, or nothing.
std::error_code list(const fs::path& dir, std::vector<Entry>& entries) {
  std::error_code error;
  fs::directory_iterator entry(dir, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::error_code unknown;
    const fs::file_status status = entry->status(unknown);
    entries.push_back({.name = entry->path().filename().string(),
                       .folder = fs::is_directory(status),
                       .link = entry->is_symlink(unknown),
                       .dead = !fs::exists(status),
                       .regular = fs::is_regular_file(status)});
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.name < b.name; });
  return error;
}

/// Whether `folder` is `below` or lies above it; both are canonical.
bool holds(const fs::path& folder, const fs::path& below) {
  return std::mismatch(folder.begin(), folder.end(), below.begin(), below.end()).first == folder.end();
}

/// What the file's first bytes say, as picture_kind() does. Notes that lie beside each picture of some sets are not
/// opened: there may be a million of them, on a slow disk.
std::string kind_of_file(const fs::path& path, const std::string& ending) {
  for (const char* notes : {".txt", ".json", ".xml", ".csv", ".md", ".html", ".yaml", ".yml"}) {
    if (ending == notes) return {};
  }
  std::array<char, 32> bytes{};
  std::ifstream file(path, std::ios::binary);
  file.read(bytes.data(), bytes.size());
  return picture_kind({reinterpret_cast<const std::uint8_t*>(bytes.data()), static_cast<std::size_t>(file.gcount())});
}

class Walk {
 public:
  explicit Walk(PictureList& list) : list_(list), root_(fs::canonical(list.dir)) {}

  void read_all() {
    std::vector<Entry> entries;
    const std::error_code error = list(list_.dir, entries);
    SIMCLR_CHECK(!error, printable(list_.dir), " cannot be listed: ", error.message());
    read(entries, {}, root_, false);
  }

  /// Where the folder `name` in `dir`, whose canonical path is `real`, leads; empty: back.
  fs::path target(const Entry& entry, const std::string& path, const fs::path& real) {
    std::error_code error;
    const fs::path there = entry.link ? fs::canonical(fs::path(list_.dir) / path, error) : real / entry.name;
    return error || holds(there, root_) || holds(there, real) ? fs::path() : there;
  }

 private:
  void read(const std::vector<Entry>& entries, const std::string& path, const fs::path& real, bool hidden) {
    for (const Entry& entry : entries) {
      const std::string here = path.empty() ? entry.name : path + '/' + entry.name;
      if (path.empty()) seen_.clear();
      if (entry.folder) {
        read_folder(entry, here, real, hidden);
      } else {
        take_file(entry, here, hidden);
      }
    }
  }

  void read_folder(const Entry& entry, const std::string& path, const fs::path& real, bool hidden) {
    LeftOut& out = list_.left_out;
    const bool hides = !hidden && is_hidden_folder(entry.name);
    const fs::path there = target(entry, path, real);
    if (there.empty() || !seen_.insert(there).second) {
      if (!hidden && !hides && entry.link) out.links_back.push_back(path);
      return;
    }
    std::vector<Entry> entries;
    const std::error_code error = list(fs::path(list_.dir) / path, entries);
    if (error) {
      if (hidden || hides) return;
      out.unlisted.push_back(path);
      list_.warnings.push_back(printable((fs::path(list_.dir) / path).string()) + " cannot be listed (" +
                               error.message() + "), so what it holds is left out");
      return;
    }
    const std::int64_t before = out.hidden;
    read(entries, path, there, hidden || hides);
    if (hides && out.hidden > before) out.hidden_folders.push_back(path);
  }

  void take_file(const Entry& entry, const std::string& path, bool hidden) {
    LeftOut& out = list_.left_out;
    const bool named = is_picture_name(entry.name);
    if (entry.name.starts_with('.')) {
      if (!hidden) ++out.dotted;
    } else if (hidden) {
      if (named) ++out.hidden;
    } else if (named) {
      list_.files.push_back(path);
    } else if (entry.dead) {
      out.dead_links.push_back(path);
    } else {
      const fs::path file = fs::path(list_.dir) / path;
      const std::string ending = ending_of(entry.name);
      const std::string kind = entry.regular ? kind_of_file(file, ending) : std::string();
      if (kind == ".jpg" || kind == ".png") {
        list_.files.push_back(path);
      } else if (!kind.empty()) {
        ++out.pictures[ending.empty() ? kind : ending];
      } else {
        ++out.files[ending];
      }
    }
  }

  PictureList& list_;
  const fs::path root_;
  std::set<fs::path> seen_;  // folders that were read below the current folder of `dir`, canonical
};

void check_folder(const std::string& dir) {
  std::error_code error;
  SIMCLR_CHECK(fs::exists(dir, error), printable(dir), ": there is no such folder; give a folder of pictures");
  SIMCLR_CHECK(fs::is_directory(dir, error), printable(dir),
               " is not a folder but a file; give the folder that holds the pictures");
}

constexpr std::size_t most_named = 3;

}  // namespace

std::string LeftOut::text() const {
  std::vector<std::string> parts;
  for (const auto& [kind, count] : pictures) parts.push_back(counted(count, printable(kind) + " picture"));
  if (hidden > 0) parts.push_back(counted(hidden, "picture") + " in " + listed(hidden_folders, most_named));
  for (const auto& [ending, count] : files) {
    parts.push_back(ending.empty() ? counted(count, "file") + " without an ending"
                                   : counted(count, printable(ending) + " file"));
  }
  if (dotted > 0) parts.push_back(counted(dotted, "file") + " that begin" + (dotted == 1 ? "s" : "") + " with a dot");
  const auto named = [&parts](const std::vector<std::string>& all, const std::string& one, const std::string& many) {
    if (!all.empty()) parts.push_back((all.size() == 1 ? one : many) + " " + listed(all, most_named));
  };
  named(links_back, "the link back", "the links back");
  named(dead_links, "the dead link", "the dead links");
  named(unlisted, "the folder that cannot be listed,", "the folders that cannot be listed,");
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

PictureList list_pictures(const std::string& dir) {
  check_folder(dir);
  PictureList pictures;
  pictures.dir = dir;
  Walk(pictures).read_all();
  return pictures;
}

std::vector<std::string> list_folders(const std::string& dir) {
  check_folder(dir);
  std::vector<Entry> entries;
  const std::error_code error = list(dir, entries);
  SIMCLR_CHECK(!error, printable(dir), " cannot be listed: ", error.message());
  PictureList pictures;
  pictures.dir = dir;
  Walk walk(pictures);
  std::vector<std::string> folders;
  for (const Entry& entry : entries) {
    if (!entry.folder || is_hidden_folder(entry.name)) continue;
    if (!walk.target(entry, entry.name, fs::canonical(dir)).empty()) folders.push_back(entry.name);
  }
  return folders;
}

}  // namespace simclr::data
