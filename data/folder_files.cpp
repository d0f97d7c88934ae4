#include "folder_files.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>

namespace simclr::data {
namespace {

namespace fs = std::filesystem;

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
    std::error_code error;
    std::vector<fs::path> names;
    fs::directory_iterator entry(dir_ / path, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error))
      names.push_back(entry->path().filename());
    if (error) return cannot_list(path, error.message());
    if (names.empty() && !path.empty()) empty_.push_back(path.string());
    std::sort(names.begin(), names.end());
    above_.push_back(real);
    for (const fs::path& name : names) {
      if (path.empty()) seen_.clear();
      take(path / name, name.string());
    }
    above_.pop_back();
  }

  void take(const fs::path& path, const std::string& name) {
    std::error_code error;
    const fs::file_status status = fs::status(dir_ / path, error);
    if (fs::is_directory(status)) {
      if (name.starts_with('.') || name.starts_with('@') || name.starts_with("__"))
        return hidden_.push_back(path.string());
      const fs::path real = fs::canonical(dir_ / path, error);
      const bool back = std::find(above_.begin(), above_.end(), real) != above_.end();
      if (error || back || !seen_.insert(real).second) return links_back_.push_back(path.string());
      read(path, real);
    } else if (name.starts_with('.')) {
      ++dotted_;
    } else if (!fs::exists(status)) {
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

FolderFiles list_files(const std::string& dir) {
  return Walk(dir).read_all();
}

}  // namespace simclr::data
