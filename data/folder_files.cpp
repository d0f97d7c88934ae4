#include "folder_files.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <set>
#include <string_view>

namespace simclr::data {
namespace {

namespace fs = std::filesystem;

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

/// What the folder says of an entry; only what it does not say, and where links lead, is asked of the file.
FolderEntry entry_of(DIR* folder, const dirent& listed) {
  FolderEntry entry{.name = listed.d_name, .link = listed.d_type == DT_LNK};
  struct stat status {};
  int type = DTTOIF(listed.d_type);
  if (listed.d_type == DT_UNKNOWN && ::fstatat(::dirfd(folder), listed.d_name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
    type = status.st_mode & S_IFMT;
    entry.link = type == S_IFLNK;
  }
  if (entry.link) {
    const bool leads = ::fstatat(::dirfd(folder), listed.d_name, &status, 0) == 0;
    entry.dead = !leads && errno != EACCES;
    type = leads ? status.st_mode & S_IFMT : 0;
  }
  entry.folder = type == S_IFDIR;
  entry.regular = type == S_IFREG;
  return entry;
}

class Walk {
 public:
  explicit Walk(const std::string& dir) : dir_(dir) {}

  FolderFiles read_all() {
    std::error_code error;
    SIMCLR_CHECK(fs::exists(dir_, error), printable(dir_.string()), ": there is no such folder");
    SIMCLR_CHECK(fs::is_directory(dir_, error), printable(dir_.string()), " is not a folder but a file");
    read({}, fs::canonical(dir_, error));
    const auto name = [this](const std::vector<std::string>& all, const char* one, const char* many) {
      constexpr std::size_t most_named = 3;
      if (!all.empty())
        out_.left_out.push_back(std::string(all.size() == 1 ? one : many) + " " + listed(all, most_named));
    };
    if (dotted_ > 0) {
      out_.left_out.push_back(counted(dotted_, "file") +
                              (dotted_ == 1 ? " that begins with a dot" : " that begin with a dot"));
    }
    name(hidden_, "the hidden folder", "the hidden folders");
    name(links_back_, "the link back", "the links back");
    name(dead_links_, "the dead link", "the dead links");
    name(unlisted_, "the folder that cannot be listed,", "the folders that cannot be listed,");
    name(empty_, "the empty folder", "the empty folders");
    return std::move(out_);
  }

 private:
  /// `real`: where `path` leads, links followed.
  void read(const fs::path& path, const fs::path& real) {
    std::vector<FolderEntry> entries;
    const std::error_code error = list_entries(dir_ / path, entries);
    if (error) return cannot_list(path, error.message());
    if (entries.empty() && !path.empty()) empty_.push_back(path.string());
    above_.push_back(real);
    for (const FolderEntry& entry : entries) {
      if (path.empty()) seen_.clear();
      take(path / entry.name, entry);
    }
    above_.pop_back();
  }

  void take(const fs::path& path, const FolderEntry& entry) {
    if (entry.folder) {
      if (is_hidden_folder(entry.name)) return hidden_.push_back(path.string());
      std::error_code error;
      const fs::path real = fs::canonical(dir_ / path, error);
      const bool back = std::find(above_.begin(), above_.end(), real) != above_.end();
      if (error || back || !seen_.insert(real).second) return links_back_.push_back(path.string());
      read(path, real);
    } else if (entry.name.starts_with('.')) {
      ++dotted_;
    } else if (entry.dead) {
      dead_links_.push_back(path.string());
    } else {
      out_.files.push_back(path.string());
    }
  }

  void cannot_list(const fs::path& path, const std::string& why) {
    SIMCLR_CHECK(!path.empty(), printable(dir_.string()), " cannot be listed: ", why);
    unlisted_.push_back(path.string());
    out_.warnings.push_back(printable((dir_ / path).string()) + " cannot be listed (" + why +
                            "), so what it holds is left out");
  }

  const fs::path dir_;
  FolderFiles out_;
  std::int64_t dotted_ = 0;
  std::vector<std::string> hidden_, links_back_, dead_links_, unlisted_, empty_;
  std::vector<fs::path> above_;  // the folders that are being read
  std::set<fs::path> seen_;      // those that were read below the current one of `dir`
};

}  // namespace

bool is_hidden_folder(const std::string& name) {
  return name.starts_with('.') || name.starts_with('@') || name.starts_with("__");
}

// As std::filesystem has it, but a third of the time: there may be a million files.
std::error_code list_entries(const fs::path& dir, std::vector<FolderEntry>& entries) {
  const std::unique_ptr<DIR, CloseFolder> folder(::opendir(dir.c_str()));
  if (!folder) return {errno, std::generic_category()};
  errno = 0;
  while (const dirent* listed = ::readdir(folder.get())) {
    const std::string_view name = listed->d_name;
    if (name != "." && name != "..") entries.push_back(entry_of(folder.get(), *listed));
    errno = 0;
  }
  const std::error_code error(errno, std::generic_category());
  std::sort(entries.begin(), entries.end(), [](const FolderEntry& a, const FolderEntry& b) { return a.name < b.name; });
  return error;
}

FolderFiles list_files(const std::string& dir) {
  return Walk(dir).read_all();
}

}  // namespace simclr::data
