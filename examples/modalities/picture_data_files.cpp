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

/// What is kept from outputs besides the folders that data name.
struct NamedFiles {
  std::vector<std::string> files;    // that they name, or have beside them
  std::set<fs::path> folders;        // of the pictures of a list, but for those that the list lies in
  std::set<fs::path> array_folders;  // of .npy files, where another one would be data
};

/// The folders of the files that a list names.
std::set<std::string> folders_of_list(const fs::path& list, const simclr::data::PathList& files) {
  std::set<std::string> folders;
  std::string last;  // files of one folder mostly follow each other
  for (const std::string& file : files) {
    const std::string folder = (list.parent_path() / file).parent_path().string();
    if (!folders.empty() && folder == last) continue;
    folders.insert(folder.empty() ? "." : folder);
    last = folder;
  }
  return folders;
}

NamedFiles files_of_shards(const std::string& data) {
  const ShardParts parts = find_shard_parts(data);
  NamedFiles named{.files = parts.train, .folders = {}, .array_folders = {}};
  for (const auto& found : {parts.test, parts.unlabelled}) {
    for (const ShardParts::Part& part : found) {
      named.files.insert(named.files.end(), part.paths.begin(), part.paths.end());
    }
  }
  named.files.insert(named.files.end(), parts.others.begin(), parts.others.end());
  return named;
}

NamedFiles named_files(const std::string& kind, const std::string& data) {
  if (kind == "shards" || names_shards(data)) return files_of_shards(data);
  NamedFiles named;
  for (const std::string& place : split_places(data)) {
    const fs::path folder = fs::path(place).parent_path();
    if (is_list(place, kind == "list")) {
      const simclr::data::PathList files = simclr::data::read_picture_table(place).pictures.files;
      for (const std::string& file : files) named.files.push_back((folder / file).string());
      const std::string list = whole_path(place).string();  // what lies beside it is no data unless it says so
      for (const std::string& each : folders_of_list(place, files)) {
        const fs::path whole = whole_path(each);
        if (!lies_in(list, whole.string())) named.folders.insert(whole);
      }
    } else if (is_array_file(place)) {
      for (const std::string& file : array_files(place)) named.files.push_back((folder / file).string());
      if (place.ends_with(".npy")) named.array_folders.insert(whole_path(place).parent_path());
    }
  }
  return named;
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
  const NamedFiles named = named_files(kind, data);
  if (!there.empty()) {
    for (const std::string& file : named.files) {  // there may be a million
      if (::stat(file.c_str(), &status) != 0) continue;
      const auto found = there.find({status.st_dev, status.st_ino});
      if (found != there.end()) refuse_in_data(option, found->second, found->second);
    }
  }
  for (const std::string& path : paths) {
    if (path.empty()) continue;
    const fs::path whole = whole_path(path);
    if (path.ends_with(".npy") && named.array_folders.contains(whole.parent_path())) {
      refuse_in_data(option, path, whole.parent_path().string());
    }
    for (fs::path at = whole; !named.folders.empty() && at != at.root_path(); at = at.parent_path()) {
      if (named.folders.contains(at)) refuse_in_data(option, path, at.string());
    }
  }
}

std::string folders_of_pictures(const std::string& kind, const std::string& data) {
  if (data.empty()) return "";
  std::set<std::string> folders;  // of those in each other the outer one first
  for (const fs::path place : split_places(data)) {
    std::error_code error;
    if (fs::is_directory(place, error)) {
      folders.insert(place.string());
    } else if (is_list(place.string(), kind == "list")) {
      const std::string list = place.string();
      folders.merge(folders_of_list(place, simclr::data::read_picture_table(list).pictures.files));
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
