#include "train/named_files.h"

#include "run/data_places.h"
#include "run/run_folder.h"

#include <sys/stat.h>

#include <cstddef>
#include <map>
#include <utility>

namespace fs = std::filesystem;

std::set<std::string> folders_of_list(const std::string& list, const simclr::data::PathList& listed) {
  const fs::path own = fs::path(list).parent_path();
  std::set<std::string> folders;
  std::string last;  // files of one folder mostly follow each other
  for (const std::string& file : listed) {
    const std::string folder = (own / file).parent_path().string();
    if (!folders.empty() && folder == last) continue;
    folders.insert(folder.empty() ? "." : folder);
    last = folder;
  }
  return folders;
}

void NamedFiles::add_list(const std::string& list, const simclr::data::PathList& listed) {
  const fs::path own = fs::path(list).parent_path();
  for (const std::string& file : listed) files.push_back((own / file).string());
  const std::string whole_list = whole_path(list).string();
  for (const std::string& folder : folders_of_list(list, listed)) {
    const fs::path whole = whole_path(folder);
    if (!lies_in(whole_list, whole.string())) folders.insert(whole);
  }
}

void refuse_in_named(const std::string& option, const std::vector<std::string>& paths, const NamedFiles& named) {
  std::map<std::pair<dev_t, ino_t>, std::string> there;  // what is not there is none of the files
  struct stat status {};
  for (const std::string& path : paths) {
    if (::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode)) there[{status.st_dev, status.st_ino}] = path;
  }
  for (std::size_t i = 0; !there.empty() && i < named.files.size(); ++i) {  // there may be a million
    if (::stat(named.files[i].c_str(), &status) != 0) continue;
    const auto found = there.find({status.st_dev, status.st_ino});
    if (found != there.end()) refuse_in_data(option, found->second, found->second);
  }
  for (const std::string& path : paths) {
    if (path.empty() || named.folders.empty()) continue;
    const fs::path whole = whole_path(path);
    for (fs::path at = whole; at != at.root_path(); at = at.parent_path()) {
      if (named.folders.contains(at)) refuse_in_data(option, path, at.string());
    }
  }
}
