#include "modalities/linked_pictures.h"

#include <simclr/core/text.h>

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <utility>
#include <vector>

namespace data = simclr::data;
namespace fs = std::filesystem;

namespace {

/// What a path leads to, whatever that is called.
using Target = std::pair<dev_t, ino_t>;

/// Of each path to a folder of a list how many pictures lie right in it; with `files` of each path to a picture 1.
std::map<std::string, std::int64_t> count_by_path(const data::PictureList& list, bool files) {
  std::map<std::string, std::int64_t> counts;
  auto last = counts.end();  // files of one folder mostly follow each other
  for (const std::string& file : list.files) {
    const std::string path = files ? file : file.substr(0, file.rfind('/') + 1);
    if (last == counts.end() || last->first != path) last = counts.try_emplace(path, 0).first;
    ++last->second;
  }
  return counts;
}

/// What is found twice, and how many pictures that is.
class Twice {
 public:
  /// `files`: whether each picture is asked where it leads, or just the folders.
  explicit Twice(bool files) : files_(files) {}

  /// `find`: finds what of a list is known already; `know`: knows it from now on.
  void add(const data::PictureList& list, bool know, bool find) {
    if (!list.source.empty()) return;
    for (const auto& [name, count] : count_by_path(list, files_)) {
      const std::string path = (fs::path(list.dir) / name.substr(0, name.find_last_not_of('/') + 1)).string();
      struct stat status {};
      if (::stat(path.c_str(), &status) != 0) continue;
      const Target target{status.st_dev, status.st_ino};
      const auto before = paths_.find(target);
      if (find && before != paths_.end()) {
        names_.push_back(path + " is " + before->second);
        count_ += count;
      }
      if (know) paths_.emplace(target, path);
    }
  }

  std::string text(const std::string& what) const {
    if (names_.empty()) return {};
    return what + ": " + simclr::counted(count_, "picture") +
           ", since links lead to one file or folder: " + simclr::listed(names_, 2);
  }

 private:
  const bool files_;
  std::map<Target, std::string> paths_;
  std::vector<std::string> names_;
  std::int64_t count_ = 0;
};

}  // namespace

std::string linked_pictures(const data::PictureList& list) {
  Twice twice(list.links);
  twice.add(list, true, true);
  return twice.text("counted twice");
}

std::string linked_pictures(const data::PictureList& train, const data::PictureList& test) {
  Twice twice(train.links || test.links);
  twice.add(train, true, false);
  twice.add(test, false, true);
  return twice.text("both trained on and tested on");
}
