#include "modalities/picture_parts.h"

#include "run/run_folder.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/pictures/part_names.h>
#include <simclr/data/pictures/picture_classes.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string_view>
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

/// A number without zeros before it, or those that alone follow the point: "1" of "01" and "1.0"; "1.10" may be a
/// version, and is not 1.1. Empty: it is none.
std::string plain_number(std::string_view text) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const std::size_t point = std::min(text.find('.'), text.size());
  std::string_view whole = text.substr(0, point), rest = text.substr(std::min(point + 1, text.size()));
  if (whole.empty() || !std::all_of(whole.begin(), whole.end(), is_digit) ||
      !std::all_of(rest.begin(), rest.end(), is_digit)) {
    return {};
  }
  while (whole.size() > 1 && whole.front() == '0') whole.remove_prefix(1);
  if (rest.find_first_not_of('0') == std::string_view::npos) rest = {};
  return std::string(whole) + (rest.empty() ? "" : ".") + std::string(rest);
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

std::string parts_in_folders(const data::PictureList& list) {
  std::map<std::string, std::set<PartRole>> roles;  // of the folders in each folder
  std::string last;                                 // files of one folder follow each other
  for (const std::string& file : list.files) {
    const std::size_t first = file.find('/'), second = file.find('/', first + 1);
    if (first == std::string::npos || (!last.empty() && file.starts_with(last))) continue;
    last = file.substr(0, second == std::string::npos ? first + 1 : second + 1);
    std::set<PartRole>& found = roles[file.substr(0, first)];
    const bool deeper = second != std::string::npos && file.find('/', second + 1) != std::string::npos;
    if (deeper) found.insert(part_role(file.substr(first + 1, second - first - 1)));
  }
  std::vector<std::string> names, places;  // those that hold parts, and all
  for (const auto& [name, found] : roles) {
    if (found.contains(PartRole::train) && found.contains(PartRole::test)) names.push_back(name);
    places.push_back((fs::path(list.dir) / name).string());
  }
  if (names.empty()) return {};
  constexpr std::size_t most = 4;
  std::string all;
  for (std::size_t i = 0; i < std::min(places.size(), most); ++i) all += (i > 0 ? "::" : "") + places[i];
  if (places.size() > most) all += "::...";
  return simclr::listed(names, 3) + (names.size() == 1 ? " holds parts of its own" : " hold parts of their own") +
         ", which are trained on, test parts too; to tell the parts apart give each folder as a place: " +
         simclr::printable(shell_quoted(all)) + " for " + simclr::printable(list.dir);
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
  std::map<std::string, std::string> plain;
  for (const std::string& name : classes) {
    const std::string number = plain_number(name);
    const auto [other, is_new] = plain.emplace(number.empty() ? simclr::lower_case(name) : number, name);
    if (is_new) continue;
    return simclr::printable(other->second) + " and " + simclr::printable(name) + " are two classes, " +
           (number.empty() ? "told apart by their case alone" : "and the same number") +
           "; where one is meant, write both alike";
  }
  return {};
}

std::string classes_like_parts(const std::string& dir, const std::vector<std::string>& classes) {
  std::vector<std::string> like = classes;
  std::erase_if(like, [](const std::string& name) {
    const PartRole role = part_role(name);
    return role != PartRole::test && role != PartRole::unlabelled;
  });
  if (like.empty()) return "";
  return "no folder of " + dir + " is called train, so " + simclr::listed(like, 3) +
         (like.size() == 1 ? " counts as a class" : " count as classes") +
         " (parts need one that is called train; to take no classes: --classes-at 0)";
}
