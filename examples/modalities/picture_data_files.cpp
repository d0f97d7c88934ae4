#include "modalities/picture_data_files.h"

#include "modalities/imagenet_sets.h"
#include "modalities/picture_array_files.h"
#include "modalities/picture_places.h"
#include "modalities/picture_sets.h"
#include "modalities/picture_shards.h"
#include "modalities/published_sets.h"
#include "run/data_places.h"
#include "run/run_folder.h"
#include "train/data_files.h"

#include <simclr/data/path_list.h>
#include <simclr/data/pictures/picture_table.h>

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace fs = std::filesystem;

namespace {

/// `place` is the set's folder, or how the names of its files begin (EMNIST's).
nlohmann::ordered_json list_published(const PublishedSet& set, const std::string& place) {
  std::error_code error;
  if (fs::is_directory(place, error)) return list_data_files(place, set.is_file);
  const fs::path path = place;
  const std::string begins = emnist_stem(path.filename().string());
  return list_data_files(path.has_parent_path() ? path.parent_path().string() : ".",
                         [&](const std::string& name) { return set.is_file(name) && name.starts_with(begins); });
}

/// The files of a set, by their paths from the folder `first`: so other folders of the set are called the same from
/// wherever they are looked at.
class PlacedFiles {
 public:
  explicit PlacedFiles(std::string first) : first_(std::move(first)), folder_(first_) {}

  /// `file` is a path from `folder`, or absolute.
  void add(const std::string& folder, const std::string& file) {
    if (folder != folder_) {
      folder_ = folder;
      const auto whole = [](const std::string& path) { return whole_path(path.empty() ? "." : path); };
      const fs::path way = whole(folder).lexically_relative(whole(first_));
      before_ = way == "." ? "" : (way / "").string();
    }
    files_.push_back(file.starts_with('/') ? file : before_ + file);
  }

  nlohmann::ordered_json list() const { return list_data_files(first_, files_); }

 private:
  const std::string first_;
  std::string folder_, before_;  // of the last file, and what leads there from the first
  simclr::data::PathList files_;
};

/// Of the shards and of those found beside them.
nlohmann::ordered_json list_shards(const std::string& pattern) {
  const ShardParts parts = find_shard_parts(pattern);
  PlacedFiles files(fs::path(parts.train.front()).parent_path().string());
  const auto add = [&files](const std::vector<std::string>& paths) {
    for (const fs::path path : paths) files.add(path.parent_path().string(), path.filename().string());
  };
  add(parts.train);
  for (const auto& found : {parts.test, parts.unlabelled}) {
    for (const ShardParts::Part& part : found) add(part.paths);
  }
  return files.list();
}

/// Of lists and of the pictures that they name, and of folders' pictures.
nlohmann::ordered_json list_places(const std::string& data, bool lists) {
  const std::vector<std::string> places = split_places(data);
  PlacedFiles files(folder_of_place(places.front(), lists));
  for (const std::string& place : places) {
    const std::string folder = folder_of_place(place, lists);
    const simclr::data::PictureList pictures = pictures_of_places(place, lists);
    for (const std::string& file : pictures.files) files.add(folder, file);
    if (folder != place) files.add(folder, fs::path(place).filename().string());
  }
  return files.list();
}

/// Those of data that are not all in folders.
std::vector<std::string> files_outside_folders(const std::string& kind, const std::string& data) {
  std::vector<std::string> files;
  if (kind == "shards" || names_shards(data)) {
    const ShardParts parts = find_shard_parts(data);
    files = parts.train;
    for (const auto& found : {parts.test, parts.unlabelled}) {
      for (const ShardParts::Part& part : found) files.insert(files.end(), part.paths.begin(), part.paths.end());
    }
    files.insert(files.end(), parts.others.begin(), parts.others.end());
    return files;
  }
  for (const std::string& place : split_places(data)) {
    std::error_code error;
    if (fs::is_directory(place, error)) continue;
    const std::string folder = fs::path(place).parent_path().string();
    if (kind == "list" || simclr::data::is_table_name(place)) {
      for (const std::string& file : simclr::data::read_picture_table(place).pictures.files) {
        files.push_back((fs::path(folder) / file).string());
      }
    } else if (is_array_file(place)) {
      for (const std::string& file : array_files(place)) files.push_back((fs::path(folder) / file).string());
    }
  }
  return files;
}

/// The folders of the pictures that a list names; those in each other the outer one first.
std::set<std::string> folders_of_list(const fs::path& list) {
  std::set<std::string> folders;
  for (const std::string& file : simclr::data::read_picture_table(list.string()).pictures.files) {
    const fs::path folder = (list.parent_path() / file).parent_path();
    folders.insert(folder.empty() ? "." : folder.string());
  }
  return folders;
}

bool is_list(const std::string& kind, const std::string& place) {
  std::error_code error;
  return (kind == "list" || simclr::data::is_table_name(place)) && !fs::is_directory(place, error);
}

/// As refuse_in_data() of paths among a list's pictures, and of a .npy file beside one that is read: as data, these
/// folders are others then.
void refuse_beside(const std::string& option, const std::vector<std::string>& paths, const std::string& kind,
                   const std::string& place) {
  const bool list = is_list(kind, place), array = place.ends_with(".npy") && is_array_file(place);
  const std::set<std::string> folders = list ? folders_of_list(place) : std::set<std::string>{};
  for (const std::string& path : paths) {
    for (const std::string& folder : folders) refuse_in_data(option, path, folder);
    const bool beside =
        array && path.ends_with(".npy") && whole_path(path).parent_path() == whole_path(place).parent_path();
    if (beside) refuse_in_data(option, path, array_folder(place));
  }
}

}  // namespace

void refuse_in_pictures(const std::string& option, const std::vector<std::string>& paths, const std::string& kind,
                        const std::string& data) {
  std::map<std::pair<dev_t, ino_t>, std::string> there;  // what is not there is none of the data's files
  struct stat status {};
  for (const std::string& path : paths) {
    refuse_in_data(option, path, data);
    if (::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode)) there[{status.st_dev, status.st_ino}] = path;
  }
  const bool none = std::all_of(paths.begin(), paths.end(), [](const std::string& path) { return path.empty(); });
  if (data.empty() || none) return;
  const std::vector<std::string> files = there.empty() ? std::vector<std::string>{} : files_outside_folders(kind, data);
  for (const std::string& file : files) {  // there may be a million
    if (::stat(file.c_str(), &status) != 0) continue;
    const auto found = there.find({status.st_dev, status.st_ino});
    if (found != there.end()) refuse_in_data(option, found->second, found->second);
  }
  for (const std::string& place : split_places(data)) refuse_beside(option, paths, kind, place);
}

std::string folders_of_pictures(const std::string& kind, const std::string& data) {
  if (data.empty()) return "";
  std::set<std::string> folders;  // of those in each other the outer one first
  for (const fs::path place : split_places(data)) {
    std::error_code error;
    if (fs::is_directory(place, error)) {
      folders.insert(place.string());
    } else if (is_list(kind, place.string())) {
      folders.merge(folders_of_list(place));
    } else {
      folders.insert(place.parent_path().string());
    }
  }
  std::string all;
  for (const std::string& folder : folders) all += (all.empty() ? "" : "::") + (folder.empty() ? "." : folder);
  return all;
}

nlohmann::ordered_json list_picture_files(const std::string& kind, const std::string& dir) {
  const std::string place = data_place(kind, dir);
  if (kind == "folder" || kind == "list" || imagenet_set(kind)) return list_places(place, kind == "list");
  if (kind == "arrays") return list_data_files(array_folder(place), array_files(place));
  if (kind == "shards") return list_shards(place);
  return list_published(*published_set(kind), place);
}
