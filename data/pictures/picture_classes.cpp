#include "../class_names.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/pictures/picture_classes.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <system_error>
#include <unordered_map>
#include <utility>

namespace simclr::data {
namespace {

/// The first `depth` folders of a path, or all where there are fewer; empty for a file that lies in none.
std::string folder_of(const std::string& file, int depth) {
  std::size_t end = 0;
  for (std::size_t slash = file.find('/'); slash != std::string::npos && depth > 0; --depth) {
    end = slash;
    slash = file.find('/', slash + 1);
  }
  return file.substr(0, end);
}

using Groups = std::map<std::string, std::vector<std::uint32_t>>;  // files of each class

void check_files(const PictureList& pictures) {
  const std::string left_out = pictures.left_out.text();
  SIMCLR_CHECK(!pictures.files.empty() || !left_out.empty(), "image_folder: ", printable(pictures.place()),
               " is empty; give the folder that holds the pictures");
  SIMCLR_CHECK(!pictures.files.empty(), "image_folder: no ", read_kinds(), " pictures in ", printable(pictures.place()),
               " or in the folders below it", left_out.empty() ? "" : " (left out: " + left_out + ")",
               pictures.left_out.pictures.empty() ? "; give the folder that holds them" : "; convert them");
  SIMCLR_CHECK(pictures.files.size() < std::numeric_limits<std::uint32_t>::max(),
               "image_folder: ", pictures.files.size(), " pictures in ", printable(pictures.place()),
               ", at most 2^32-1 are possible");
}

Groups groups(const PictureList& pictures, const std::function<std::string(const std::string&)>& class_of) {
  Groups classes;
  auto last = classes.end();  // files of one folder follow each other
  for (std::uint32_t i = 0; i < pictures.files.size(); ++i) {
    std::string name = class_of(pictures.files[i]);
    if (last == classes.end() || last->first != name) last = classes.try_emplace(std::move(name)).first;
    last->second.push_back(i);
  }
  return classes;
}

/// The places of these names among `classes`.
std::vector<std::int32_t> places_among(const std::vector<std::string>& classes, const std::vector<std::string>& names) {
  std::map<std::string, std::int32_t> place;
  for (const std::string& name : classes) place.emplace(name, static_cast<std::int32_t>(place.size()));
  std::vector<std::int32_t> places;
  for (const std::string& name : names) places.push_back(place.at(name));
  return places;
}

/// Labels the pictures, which have no labels yet, and orders them by the names of their classes.
void take_classes(PictureList& pictures, const Groups& classes) {
  std::vector<std::string> names;
  for (const auto& [name, files] : classes) {
    if (!name.empty()) names.push_back(name);
  }
  pictures.classes = sorted_classes({names.begin(), names.end()});
  const std::vector<std::int32_t> places = places_among(pictures.classes, names);
  auto place = places.begin();
  std::vector<std::uint32_t> order;
  for (const auto& [name, files] : classes) {
    order.insert(order.end(), files.begin(), files.end());
    pictures.labels.resize(order.size(), name.empty() ? -1 : *place++);
  }
  if (std::is_sorted(order.begin(), order.end())) return;
  PathList ordered;
  for (const std::uint32_t i : order) ordered.push_back(pictures.files[i]);
  pictures.files = std::move(ordered);
}

void check_groups(const PictureList& pictures, const Groups& classes) {
  const auto flat = classes.find("");
  SIMCLR_CHECK(classes.size() == 1 || flat == classes.end(), "image_folder: ", printable(pictures.dir), " holds both ",
               counted(std::ssize(flat->second), "picture"), " and ", counted(std::ssize(classes) - 1, "sub-folder"),
               " with pictures (", printable(pictures.files[flat->second.front()]), ", ",
               printable(std::next(flat)->first),
               "); keep either one folder a class or pictures alone, or take no classes (0 folders of the path: "
               "--classes-at 0)");
}

/// What was left out of a list, among what was of others; its paths begin with its folder then.
void add_left_out(LeftOut& all, const LeftOut& one, const std::string& dir) {
  const auto add_counts = [](auto& to, const auto& from) {
    for (const auto& [kind, count] : from) to[kind] += count;
  };
  const auto add_names = [&dir](auto& to, const auto& from) {
    for (const std::string& name : from) to.push_back((std::filesystem::path(dir) / name).string());
  };
  const auto add_folders = [&dir](auto& to, const auto& from) {
    for (const auto& [ending, folders] : from) {
      for (const std::string& folder : folders) {
        to[ending].insert((std::filesystem::path(dir) / folder / "").lexically_normal().string());
      }
    }
  };
  add_folders(all.picture_folders, one.picture_folders);
  add_folders(all.file_folders, one.file_folders);
  add_counts(all.pictures, one.pictures);
  add_counts(all.files, one.files);
  add_counts(all.rows, one.rows);
  all.packages.insert(one.packages.begin(), one.packages.end());
  all.dotted += one.dotted;
  all.hidden += one.hidden;
  all.known += one.known;
  add_names(all.hidden_folders, one.hidden_folders);
  add_names(all.links_back, one.links_back);
  add_names(all.dead_links, one.dead_links);
  add_names(all.unlisted, one.unlisted);
  add_names(all.empty, one.empty);
}

}  // namespace

void name_classes(PictureList& pictures, int classes_at) {
  SIMCLR_CHECK(classes_at >= 0, "image_folder: classes_at ", classes_at, ", 0 or more is needed");
  check_files(pictures);
  if (!pictures.labels.empty()) {
    if (classes_at > 0) return;
    pictures.labels.assign(pictures.files.size(), -1);
    pictures.classes.clear();
    return;
  }
  const Groups classes =
      groups(pictures, [classes_at](const std::string& file) { return folder_of(file, classes_at); });
  check_groups(pictures, classes);
  take_classes(pictures, classes);
}

void name_classes(PictureList& pictures, const std::function<std::string(const std::string&)>& class_of) {
  check_files(pictures);
  pictures.labels.clear();
  pictures.classes.clear();
  take_classes(pictures, groups(pictures, class_of));
}

PictureList selected(const PictureList& pictures, const std::vector<std::uint32_t>& which) {
  PictureList some{.dir = pictures.dir, .files = {}, .source = pictures.source, .links = pictures.links};
  std::vector<std::int32_t> place(pictures.classes.size(), -1);
  for (const std::uint32_t i : which) {
    some.files.push_back(pictures.files[i]);
    if (!pictures.labels.empty() && pictures.labels[i] >= 0) place[static_cast<std::size_t>(pictures.labels[i])] = 0;
  }
  for (std::size_t c = 0; c < place.size(); ++c) {
    if (place[c] < 0) continue;
    place[c] = static_cast<std::int32_t>(some.classes.size());
    some.classes.push_back(pictures.classes[c]);
  }
  for (const std::uint32_t i : which) {
    if (pictures.labels.empty()) break;
    const std::int32_t label = pictures.labels[i];
    some.labels.push_back(label < 0 ? -1 : place[static_cast<std::size_t>(label)]);
  }
  return some;
}

void leave_out_known(const std::vector<PictureList*>& lists, std::unordered_set<std::size_t>& known) {
  namespace fs = std::filesystem;
  std::unordered_map<std::string, std::string> folders;  // links followed
  std::unordered_set<std::size_t> own;
  for (PictureList* list : lists) {
    std::vector<std::uint32_t> kept;
    for (std::uint32_t i = 0; i < list->files.size(); ++i) {
      fs::path path = fs::path(list->dir) / list->files[i];
      std::error_code error;
      if (list->links && fs::is_symlink(path, error)) {
        const fs::path target = fs::canonical(path, error);
        if (!error) path = target;
      }
      error.clear();  // a list may name what is not there
      const auto [folder, is_new] = folders.try_emplace(path.parent_path().string());
      if (is_new) folder->second = fs::weakly_canonical(fs::absolute(path.parent_path(), error), error).string();
      if (error) folder->second = folder->first;
      const std::size_t file = std::hash<std::string>()(folder->second + '/' + path.filename().string());
      if (known.contains(file)) continue;
      own.insert(file);
      kept.push_back(i);
    }
    if (kept.size() == list->files.size()) continue;
    PictureList rest = selected(*list, kept);
    rest.left_out = std::move(list->left_out);
    rest.left_out.known = static_cast<std::int64_t>(list->files.size() - kept.size());
    rest.warnings = std::move(list->warnings);
    *list = std::move(rest);
  }
  known.merge(own);
}

PictureList joined(std::vector<PictureList> lists, int classes_at) {
  const bool several = lists.size() > 1;
  PictureList all;
  std::set<std::string> names;
  for (PictureList& list : lists) {
    if (!list.files.empty() || list.left_out.known == 0) name_classes(list, classes_at);
    names.insert(list.classes.begin(), list.classes.end());
  }
  all.classes = sorted_classes(names);
  for (PictureList& list : lists) {
    const std::vector<std::int32_t> place = places_among(all.classes, list.classes);
    for (const std::int32_t label : list.labels) {
      all.labels.push_back(label < 0 ? -1 : place[static_cast<std::size_t>(label)]);
    }
    const std::filesystem::path dir = list.dir;
    for (const std::string& file : list.files) all.files.push_back((dir / file).string());
    all.source += (all.source.empty() ? "" : ", ") + list.place();
    if (several) all.source += " (" + std::to_string(list.files.size()) + ")";
    add_left_out(all.left_out, list.left_out, list.dir);
    all.warnings.insert(all.warnings.end(), list.warnings.begin(), list.warnings.end());
    list = {};
  }
  return all;
}

}  // namespace simclr::data
