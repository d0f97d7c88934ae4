#include "modalities/picture_parts.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/pictures/part_names.h>
#include <simclr/data/pictures/picture_classes.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
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
bool holds_pictures(const PictureParts::Part& part) {
  const data::LeftOut& left_out = part.pictures.left_out;
  return !part.pictures.files.empty() || !left_out.pictures.empty() || left_out.hidden > 0;
}

/// Whether it is named: a link that is dead may have been one to pictures.
bool counts(const PictureParts::Part& part) {
  return holds_pictures(part) || !part.pictures.left_out.dead_links.empty();
}

/// The part `name` in `dir`; train/train, as some zip files leave it, where the outer one holds nothing else.
std::string part_folder(const std::string& dir, const std::string& name) {
  const std::string part = (fs::path(dir) / name).string();
  const std::vector<std::string> inner = data::list_folders(part);
  if (inner.size() != 1 || part_role(name) == PartRole::none || part_role(inner.front()) != part_role(name)) {
    return part;
  }
  return holds_pictures({"", pictures_in(part)}) ? part : part_folder(part, inner.front());
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

std::optional<std::string> trained_part(const data::PictureTable& table) {
  std::vector<std::string> train, others;
  bool test = false;
  for (const std::string& text : table.parts) {
    const PartRole role = part_role(text);
    test = test || role == PartRole::test;
    if (role == PartRole::train) train.push_back(text);
    if (role == PartRole::none) others.push_back(text);
  }
  if (!train.empty()) return train.front();
  const std::vector<std::string>& gone = table.parts_without_rows;
  const auto is_train = [](const std::string& text) { return part_role(text) == PartRole::train; };
  const auto train_gone = std::find_if(gone.begin(), gone.end(), is_train);
  if (train_gone != gone.end()) {
    const std::vector<std::string>& warnings = table.pictures.warnings;
    simclr::fail(simclr::printable(table.pictures.place()), ": no row of the part ", simclr::printable(*train_gone),
                 " is left to train on", warnings.empty() ? "" : "; " + warnings.front());
  }
  if (test && others.size() == 1) return others.front();
  return {};
}

PictureParts table_parts(const data::PictureTable& table) {
  const std::optional<std::string> trained = trained_part(table);
  const auto is_role = [](PartRole role) { return [role](const auto& text) { return part_role(text) == role; }; };
  const bool unlabelled = std::any_of(table.parts.begin(), table.parts.end(), is_role(PartRole::unlabelled)) &&
                          std::none_of(table.parts.begin(), table.parts.end(), is_role(PartRole::none));
  if (!trained && !unlabelled) return {};
  std::vector<std::vector<std::uint32_t>> rows(table.parts.size());
  for (std::uint32_t i = 0; i < table.part_of.size(); ++i) rows[table.part_of[i]].push_back(i);
  PictureParts parts;
  for (std::size_t k = 0; k < rows.size(); ++k) {
    const std::string& text = table.parts[k];
    PictureParts::Part part{text, data::selected(table.pictures, rows[k])};
    part.pictures.source += text.empty() ? " (of no part)" : " (" + simclr::printable(text) + ")";
    if (text == trained) {
      parts.train.push_back(std::move(part));
    } else {
      add_part(parts, std::move(part));
    }
  }
  sort_parts(parts);
  data::PictureList& first = (parts.train.empty() ? parts.unlabelled : parts.train).front().pictures;
  first.left_out = table.pictures.left_out;
  first.warnings = table.pictures.warnings;
  return parts;
}

std::string unused_part(const std::string& name, std::int64_t count, const std::string& left_out,
                        const std::string& why) {
  const std::string pictures = simclr::counted(count, "picture");
  const std::string all = left_out.empty() ? pictures : count == 0 ? left_out : pictures + ", and " + left_out;
  return name + " (" + all + (why.empty() ? "" : "; " + why) + ")";
}

std::string folder_of_parts(const std::string& dir, std::vector<PictureParts::Part>* beside) {
  constexpr int deepest = 8;
  std::string folder = dir;
  std::vector<PictureParts::Part> passed;
  bool pictures = false;  // among what was passed
  for (int depth = 0; depth <= deepest; ++depth) {
    const std::vector<std::string> folders = data::list_folders(folder);
    std::set<PartRole> roles;
    for (const std::string& name : folders) roles.insert(part_role(name));
    const bool train = roles.contains(PartRole::train), unlabelled = roles.contains(PartRole::unlabelled);
    if (train || unlabelled) {
      // Beside pictures a folder called train alone may be a class, as find_parts() has it.
      if (pictures && !(train && (unlabelled || roles.contains(PartRole::test)))) return dir;
      if (beside != nullptr) *beside = std::move(passed);
      return folder;
    }
    if (folders.size() != 1) return dir;  // before a million pictures are listed
    PictureParts::Part own{"", pictures_in(folder)};
    pictures = pictures || !own.pictures.files.empty();
    if (counts(own)) passed.push_back(std::move(own));
    folder = (fs::path(folder) / folders.front()).string();
  }
  return dir;
}
