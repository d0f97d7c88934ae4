#include "modalities/folder_notes.h"

#include "run/run_folder.h"
#include "train/similar_names.h"

#include <simclr/core/text.h>
#include <simclr/data/pictures/part_names.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string_view>

namespace data = simclr::data;
namespace fs = std::filesystem;
using data::part_role;
using data::PartRole;

namespace {

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

/// What folders of a list hold that are called like parts.
struct Held {
  std::set<PartRole> roles;
  bool folders = false;  // in those
};

/// Of each folder that holds some, by its path from the list's.
std::map<std::string, Held> parts_by_folder(const data::PictureList& list) {
  std::map<std::string, Held> held;
  std::string last;  // files of one folder follow each other
  for (const std::string& file : list.files) {
    const std::size_t end = file.rfind('/');
    const std::string folder = file.substr(0, end == std::string::npos ? 0 : end);
    if (folder == last) continue;
    last = folder;
    for (std::size_t slash = folder.find('/'); slash != std::string::npos; slash = folder.find('/', slash + 1)) {
      const std::size_t next = std::min(folder.find('/', slash + 1), folder.size());
      const PartRole role = part_role(folder.substr(slash + 1, next - slash - 1));
      if (role == PartRole::none) continue;
      Held& one = held[folder.substr(0, slash)];
      one.roles.insert(role);
      one.folders = one.folders || next < folder.size();
    }
  }
  std::erase_if(held, [](const auto& each) {
    return !each.second.roles.contains(PartRole::train) || !each.second.roles.contains(PartRole::test);
  });
  return held;
}

/// As --data names them: the folders of `held`, and where these are several those right in the list's that hold none of
/// them.
std::vector<std::string> places_of(const data::PictureList& list, const std::map<std::string, Held>& held) {
  if (held.size() == 1) return {(fs::path(list.dir) / held.begin()->first).string()};  // what is beside may be masks
  std::set<std::string> places;
  for (const auto& [name, one] : held) places.insert(name);
  std::string last;
  for (const std::string& file : list.files) {
    const std::size_t end = file.find('/');
    if (end == std::string::npos || (!last.empty() && file.starts_with(last))) continue;
    last = file.substr(0, end + 1);
    const auto inner = places.lower_bound(last);  // what begins so follows it
    if (inner == places.end() || !inner->starts_with(last)) places.insert(file.substr(0, end));
  }
  std::vector<std::string> all;
  for (const std::string& name : places) all.push_back((fs::path(list.dir) / name).string());
  return all;
}

/// Of folders that are classes, those that look like parts, if that may be meant: like train and like test parts, where
/// few others are ("valley" and "train_interior" are classes among many), or train beside one or two others.
std::vector<std::string> like_parts(const std::vector<std::string>& classes) {
  std::vector<std::string> like;
  std::set<PartRole> roles;
  bool train = false;
  for (const std::string& name : classes) {
    const PartRole role = data::part_hint(name);
    if (role == PartRole::none) continue;
    like.push_back(name);
    roles.insert(role);
    train = train || part_role(name) == PartRole::train;
  }
  const bool both =
      roles.contains(PartRole::train) && roles.contains(PartRole::test) && 2 * like.size() >= classes.size();
  const bool few = train && classes.size() > 1 && classes.size() <= 3;
  return both || few ? like : std::vector<std::string>();
}

}  // namespace

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
  const std::map<std::string, Held> held = parts_by_folder(list);
  if (held.empty()) return {};
  std::vector<std::string> names;
  for (const auto& [name, one] : held) names.push_back(name);
  const bool within_classes =
      names.size() > 1 && std::none_of(held.begin(), held.end(), [](const auto& each) { return each.second.folders; });
  const std::vector<std::string> places = places_of(list, held);
  constexpr std::size_t most = 4;
  std::string all;
  for (std::size_t i = 0; i < std::min(places.size(), most); ++i) all += (i > 0 ? "::" : "") + places[i];
  if (places.size() > most) all += "::...";
  const std::string classes = "; where they are classes make train/" + fs::path(names.front()).filename().string() +
                              " and test/" + fs::path(names.front()).filename().string() +
                              " of each, else give each folder as a place: ";
  return simclr::listed(names, 3) + (names.size() == 1 ? " holds parts of its own" : " hold parts of their own") +
         ", which are trained on, test parts too" +
         (within_classes      ? simclr::printable(classes)
          : places.size() > 1 ? "; to tell the parts apart give each folder as a place: "
                              : "; to tell the parts apart give that folder: ") +
         simclr::printable(shell_quoted(all)) + " for " + simclr::printable(list.dir);
}

std::string classes_alike(const std::vector<std::string>& classes) {
  std::map<std::string, std::string> plain;
  for (const std::string& name : classes) {
    const std::string number = plain_number(name);
    const auto [other, is_new] = plain.emplace(number.empty() ? plain_name(name) : number, name);
    if (is_new) continue;
    return simclr::printable(other->second) + " and " + simclr::printable(name) + " are two classes, " +
           (number.empty() ? "told apart " + name_difference(other->second, name).by : "and the same number") +
           "; where one is meant, write both alike";
  }
  return {};
}

std::string all_in_one_folder(const data::PictureList& list, int classes_at) {
  if (list.files.empty() || classes_at == 0) return {};
  std::string common = list.files[0];  // of all paths; up to a slash
  bool flat = true;                    // all lie right in it
  for (const std::string& file : list.files) {
    const auto end = std::mismatch(common.begin(), common.end(), file.begin(), file.end()).first;
    common.erase(std::string_view(common.begin(), end).rfind('/') + 1);
    if (common.empty()) return {};
  }
  for (const std::string& file : list.files) flat = flat && file.find('/', common.size()) == std::string::npos;
  const std::int64_t depth = std::count(common.begin(), common.end(), '/');
  if (depth < classes_at || (flat && depth == classes_at)) return {};  // several classes, or one as it should lie
  const std::string only = (fs::path(list.dir) / common.substr(0, common.size() - 1)).string();
  return "all pictures lie in " + simclr::printable(only) + "; to take " +
         (flat ? "them without a class" : "its folders for what they are") + ", give --data " +
         simclr::printable(shell_quoted(only));
}

std::string classes_like_parts(const std::string& dir, const std::vector<std::string>& classes) {
  std::vector<std::string> like = like_parts(classes);
  if (!like.empty()) {
    return simclr::listed(like, 3) + " in " + simclr::printable(dir) +
           (like.size() == 1 ? " is called like a part but counts as a class"
                             : " are called nearly like parts but count as classes") +
           ", so all pictures are trained on; where parts are meant, call the folders train and test";
  }
  like = classes;
  std::erase_if(like, [](const std::string& name) {
    const PartRole role = part_role(name);
    return role != PartRole::test && role != PartRole::unlabelled;
  });
  if (like.empty()) return "";
  return "no folder of " + simclr::printable(dir) + " is called train, so " + simclr::listed(like, 3) +
         (like.size() == 1 ? " counts as a class" : " count as classes") +
         " (parts need one that is called train; to take no classes: --classes-at 0)";
}
