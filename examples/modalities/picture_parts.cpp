#include "modalities/picture_parts.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/pictures/part_names.h>
#include <simclr/data/pictures/picture_classes.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <system_error>
#include <tuple>
#include <utility>

namespace data = simclr::data;
namespace fs = std::filesystem;
using data::part_role;
using data::PartRole;

namespace {

/// The place of a part among those of its role: the likeliest word, then the shortest name, then the most pictures
/// ("train" and "Train").
void sort_by_likelihood(std::vector<PictureParts::Part>& parts) {
  const auto rank = [](const PictureParts::Part& part) {
    return std::tuple(data::part_name(part.name).place, part.name.size(),
                      -static_cast<std::int64_t>(part.pictures.files.size()));
  };
  std::stable_sort(parts.begin(), parts.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
}

/// Of the folder itself and of hidden ones in it, without files that are no pictures. Arrays are none here: what
/// programs write may lie there.
data::PictureList pictures_in(const std::string& dir) {
  data::PictureList list = data::list_own_pictures(dir);
  list.source = dir + " itself";
  if (!list.files.empty() && data::ending_of(list.files[0]) == ".npy") list.files = {};
  list.left_out.files.clear();
  list.left_out.file_folders.clear();
  list.left_out.dotted = 0;
  return list;
}

/// Whether there are pictures in it, of whatever kind.
bool counts(const PictureParts::Part& part) {
  const data::LeftOut& left_out = part.pictures.left_out;
  return !part.pictures.files.empty() || !left_out.pictures.empty() || left_out.hidden > 0;
}

/// The part `name` in `dir`; train/train, as some zip files leave it, where the outer one holds nothing else.
std::string part_folder(const std::string& dir, const std::string& name) {
  const std::string part = (fs::path(dir) / name).string();
  const std::vector<std::string> inner = data::list_folders(part);
  if (inner.size() != 1 || part_role(name) == PartRole::none || part_role(inner.front()) != part_role(name)) {
    return part;
  }
  return counts({"", pictures_in(part)}) ? part : part_folder(part, inner.front());
}

/// All below the folder `name` in `dir`. Where it cannot be listed there are none, which it says.
data::PictureList pictures_below(const std::string& parent, const std::string& name) {
  std::string dir = (fs::path(parent) / name).string();
  try {
    dir = part_folder(parent, name);
    return data::list_pictures(dir);
  } catch (const simclr::Error& error) {
    data::PictureList none{.dir = dir, .files = {}};
    none.left_out.unlisted = {dir};
    none.warnings = {std::string(error.what()) + ", so what it holds is left out"};
    return none;
  }
}

void add_part(PictureParts& parts, PictureParts::Part part) {
  switch (part_role(part.name)) {
    case PartRole::train: parts.train.push_back(std::move(part)); break;
    case PartRole::test: parts.test.push_back(std::move(part)); break;
    case PartRole::unlabelled: parts.unlabelled.push_back(std::move(part)); break;
    case PartRole::none: parts.others.push_back(std::move(part));
  }
}

void sort_parts(PictureParts& parts) {
  sort_by_likelihood(parts.train);
  sort_by_likelihood(parts.test);
  sort_by_likelihood(parts.unlabelled);
}

}  // namespace

PictureParts find_parts(const std::string& dir) {
  const std::vector<std::string> folders = data::list_folders(dir);
  const auto count = [&](PartRole role) {
    return std::count_if(folders.begin(), folders.end(), [&](const auto& name) { return part_role(name) == role; });
  };
  PictureParts parts;
  const bool train = count(PartRole::train) > 0, unlabelled = count(PartRole::unlabelled) > 0;
  if (!train && !unlabelled) return parts;
  const bool several = train && (unlabelled || count(PartRole::test) > 0);
  PictureParts::Part beside{"", pictures_in(dir)};
  if (!beside.pictures.files.empty() && !several) return parts;
  if (counts(beside)) parts.others.push_back(std::move(beside));
  for (const std::string& name : folders) {
    PictureParts::Part part{name, pictures_below(dir, name)};
    const data::LeftOut& left_out = part.pictures.left_out;
    if (part_role(name) != PartRole::none) {
      add_part(parts, std::move(part));
    } else if (!part.pictures.files.empty() || !left_out.pictures.empty() || (several && !left_out.unlisted.empty())) {
      if (!several) return {};  // classes, one of which is called train or unlabeled
      add_part(parts, std::move(part));
    }
  }
  sort_parts(parts);
  const auto holds_some = [](const PictureParts::Part& part) { return !part.pictures.files.empty(); };
  return train || std::any_of(parts.unlabelled.begin(), parts.unlabelled.end(), holds_some) ? parts : PictureParts{};
}

PictureParts table_parts(const data::PictureTable& table) {
  if (std::none_of(table.parts.begin(), table.parts.end(),
                   [](const auto& text) { return part_role(text) == PartRole::train; })) {
    return {};
  }
  std::vector<std::vector<std::uint32_t>> rows(table.parts.size());
  for (std::uint32_t i = 0; i < table.part_of.size(); ++i) rows[table.part_of[i]].push_back(i);
  PictureParts parts;
  for (std::size_t k = 0; k < rows.size(); ++k) {
    if (rows[k].empty()) continue;  // none of its files is there
    const std::string& text = table.parts[k];
    PictureParts::Part part{text, data::selected(table.pictures, rows[k])};
    part.pictures.source += text.empty() ? " (of no part)" : " (" + simclr::printable(text) + ")";
    add_part(parts, std::move(part));
  }
  sort_parts(parts);
  if (!parts.train.empty()) {
    parts.train.front().pictures.left_out = table.pictures.left_out;
    parts.train.front().pictures.warnings = table.pictures.warnings;
  }
  return parts;
}

std::string unused_part(const std::string& name, std::int64_t count, const std::string& left_out,
                        const std::string& why) {
  const std::string pictures = simclr::counted(count, "picture");
  const std::string all = left_out.empty() ? pictures : count == 0 ? left_out : pictures + ", and " + left_out;
  return name + " (" + all + (why.empty() ? "" : "; " + why) + ")";
}

std::string deeper_classes(const data::PictureList& list, int classes_at) {
  if (classes_at == 0 || !list.labels.empty()) return {};
  std::map<std::string, std::set<std::string>> below;  // of each class
  for (const std::string& file : list.files) {
    std::size_t end = 0;
    for (int depth = 0; depth < classes_at && end != std::string::npos; ++depth) end = file.find('/', end + 1);
    if (end == std::string::npos) continue;  // it lies less deep
    const std::size_t next = file.find('/', end + 1);
    if (next != std::string::npos) below[file.substr(0, end)].insert(file.substr(end + 1, next - end - 1));
  }
  const auto several =
      std::find_if(below.begin(), below.end(), [](const auto& each) { return each.second.size() > 1; });
  if (several == below.end()) return {};
  return "what lies deeper belongs to the class above, so the " + std::to_string(several->second.size()) +
         " folders in " + simclr::printable(several->first) + " are one class (to make each a class: --classes-at " +
         std::to_string(classes_at + 1) + ")";
}

std::string folder_of_parts(const std::string& dir, std::vector<PictureParts::Part>* beside) {
  std::string folder = dir;
  std::vector<PictureParts::Part> passed;
  for (int depth = 0; depth < 3; ++depth) {
    const std::vector<std::string> folders = data::list_folders(folder);
    const auto is_trained_on = [](const std::string& name) {
      return part_role(name) == PartRole::train || part_role(name) == PartRole::unlabelled;
    };
    if (std::any_of(folders.begin(), folders.end(), is_trained_on)) {
      if (beside != nullptr) *beside = std::move(passed);
      return folder;
    }
    if (folders.size() != 1) return dir;  // before a million pictures are listed
    PictureParts::Part own{"", pictures_in(folder)};
    if (!own.pictures.files.empty()) return dir;
    if (counts(own)) passed.push_back(std::move(own));
    folder = (fs::path(folder) / folders.front()).string();
  }
  return dir;
}

std::string classes_alike(const std::vector<std::string>& classes) {
  std::map<std::string, std::string> lowered;
  for (const std::string& name : classes) {
    const auto [other, is_new] = lowered.emplace(simclr::lower_case(name), name);
    if (is_new) continue;
    return simclr::printable(other->second) + " and " + simclr::printable(name) +
           " are two classes, told apart by their case alone; where one is meant, write both alike";
  }
  return {};
}

std::string classes_like_parts(const std::string& dir, const std::vector<std::string>& classes) {
  const auto count = [&classes](PartRole role) {
    return std::count_if(classes.begin(), classes.end(), [role](const auto& name) { return part_role(name) == role; });
  };
  const bool all = count(PartRole::test) + count(PartRole::unlabelled) == std::ssize(classes);
  std::vector<std::string> like = classes;
  if (!all) std::erase_if(like, [](const auto& name) { return part_role(name) != PartRole::unlabelled; });
  if (like.empty()) return "";
  return "no folder of " + dir + " is called train, so " + simclr::listed(like, 3) +
         (like.size() == 1 ? " counts as a class" : " count as classes") +
         " (parts need one that is called train; to take no classes: --classes-at 0)";
}
