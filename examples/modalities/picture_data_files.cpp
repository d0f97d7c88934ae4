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
#include "train/named_files.h"

#include <simclr/data/path_list.h>
#include <simclr/data/pictures/picture_table.h>

#include <algorithm>
#include <filesystem>
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

NamedFiles files_of_shards(const std::string& data) {
  const ShardParts parts = find_shard_parts(data);
  NamedFiles named{.files = parts.train, .folders = {}};
  for (const auto& found : {parts.test, parts.unlabelled}) {
    for (const ShardParts::Part& part : found) {
      named.files.insert(named.files.end(), part.paths.begin(), part.paths.end());
    }
  }
  named.files.insert(named.files.end(), parts.others.begin(), parts.others.end());
  return named;
}

/// As refuse_in_data() of .npy files beside one of `place` that is read: in that folder they would be data.
void refuse_arrays(const std::string& option, const std::vector<std::string>& paths, const std::string& place) {
  const fs::path folder = whole_path(place).parent_path();
  for (const std::string& path : paths) {
    const bool beside = path.ends_with(".npy") && whole_path(path).parent_path() == folder;
    if (beside) refuse_in_data(option, path, folder.string());
  }
}

}  // namespace

void refuse_in_pictures(const std::string& option, const std::vector<std::string>& paths, const std::string& kind,
                        const std::string& data) {
  for (const std::string& path : paths) refuse_in_data(option, path, data);
  const bool none = std::all_of(paths.begin(), paths.end(), [](const std::string& path) { return path.empty(); });
  if (data.empty() || none) return;
  if (kind == "shards" || names_shards(data)) return refuse_in_named(option, paths, files_of_shards(data));
  NamedFiles named;
  for (const std::string& place : split_places(data)) {
    const fs::path folder = fs::path(place).parent_path();
    if (is_list(place, kind == "list")) {
      named.add_list(place, simclr::data::read_picture_table(place).pictures.files);
    } else if (is_array_file(place)) {
      for (const std::string& file : array_files(place)) named.files.push_back((folder / file).string());
      if (place.ends_with(".npy")) refuse_arrays(option, paths, place);
    }
  }
  refuse_in_named(option, paths, named);
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
      folders.merge(folders_of_list(list, simclr::data::read_picture_table(list).pictures.files));
    } else {
      folders.insert(place.parent_path().string());
    }
  }
  return join_places(folders);
}

nlohmann::ordered_json list_picture_files(const std::string& kind, const std::string& dir) {
  const std::string place = data_place(kind, dir);
  if (imagenet_set(kind)) return list_places(imagenet_places(place), false);
  if (kind == "folder" || kind == "list") return list_places(place, kind == "list");
  if (kind == "arrays") return list_data_files(array_folder(place), array_files(place));
  if (kind == "shards") return list_shards(place);
  return list_published(*published_set(kind), place);
}
