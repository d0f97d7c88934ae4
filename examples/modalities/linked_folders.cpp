#include "modalities/linked_folders.h"

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

/// A folder that holds pictures, whatever it is called.
using Folder = std::pair<dev_t, ino_t>;

/// Of each path to a folder of a list how many pictures lie right in it.
std::map<std::string, std::int64_t> count_by_path(const data::PictureList& list) {
  std::map<std::string, std::int64_t> counts;
  auto last = counts.end();  // files of one folder mostly follow each other
  for (const std::string& file : list.files) {
    const std::string folder = file.substr(0, file.rfind('/') + 1);
    if (last == counts.end() || last->first != folder) last = counts.try_emplace(folder, 0).first;
    ++last->second;
  }
  return counts;
}

/// What is found twice, and how often pictures of it are.
class Twice {
 public:
  /// `find`: finds those folders of a list that are known already; `know`: knows them from now on.
  void add(const data::PictureList& list, bool know, bool find) {
    if (!list.source.empty()) return;
    for (const auto& [folder, count] : count_by_path(list)) {
      const std::string path = (fs::path(list.dir) / folder.substr(0, folder.empty() ? 0 : folder.size() - 1)).string();
      struct stat status {};
      if (::stat(path.c_str(), &status) != 0) continue;
      const Folder id{status.st_dev, status.st_ino};
      const auto before = paths_.find(id);
      if (find && before != paths_.end()) {
        names_.push_back(path + " is " + before->second);
        count_ += count;
      }
      if (know) paths_.emplace(id, path);
    }
  }

  std::string text(const std::string& what) const {
    if (names_.empty()) return {};
    return what + ": " + simclr::counted(count_, "picture") +
           ", since links lead to one folder: " + simclr::listed(names_, 2);
  }

 private:
  std::map<Folder, std::string> paths_;
  std::vector<std::string> names_;
  std::int64_t count_ = 0;
};

}  // namespace

std::string linked_folders(const data::PictureList& list) {
  Twice twice;
  twice.add(list, true, true);
  return twice.text("counted twice");
}

std::string linked_folders(const data::PictureList& train, const data::PictureList& test) {
  Twice twice;
  twice.add(train, true, false);
  twice.add(test, false, true);
  return twice.text("both trained on and tested on");
}
