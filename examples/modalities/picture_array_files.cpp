#include "modalities/picture_array_files.h"

#include "modalities/unknown_folder.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/npz.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/pictures/part_names.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <utility>

namespace data = simclr::data;
namespace fs = std::filesystem;

namespace {

bool begins_with(const std::string& path, std::string_view magic) {
  std::array<char, 8> bytes{};
  std::ifstream file(path, std::ios::binary);
  file.read(bytes.data(), bytes.size());
  return std::string_view(bytes.data(), static_cast<std::size_t>(file.gcount())).starts_with(magic);
}

bool is_npz(const std::string& path) {
  return data::ending_of(path) == ".npz" || begins_with(path, "PK\3\4");
}

/// What a folder holds of arrays.
struct Found {
  bool pictures = false;          // a .npy file that is some by its name
  std::vector<std::string> npzs;  // paths
};

Found look_into(const std::string& dir) {
  Found found;
  std::error_code error;
  fs::directory_iterator entry(dir, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string file = entry->path().string(), ending = data::ending_of(file);
    if (ending == ".npz") found.npzs.push_back(file);
    if (ending == ".npy" && array_role(entry->path().stem().string()).content == "pictures") found.pictures = true;
  }
  std::sort(found.npzs.begin(), found.npzs.end());
  return found;
}

/// `path`, or the .npz file that it holds alone. Throws simclr::Error where it holds several.
std::string only_npz(const std::string& path) {
  const Found found = look_into(path);
  if (found.pictures || found.npzs.empty()) return path;
  std::vector<std::string> names;
  for (const std::string& file : found.npzs) names.push_back(fs::path(file).filename().string());
  SIMCLR_CHECK(names.size() == 1, "--data ", path, ": holds ", names.size(), " .npz files (", simclr::listed(names, 4),
               "); give the one to train on");
  return found.npzs.front();
}

/// "train" and nothing else; of numbers each may be a picture, "train_17".
bool is_part_alone(const std::string& name) {
  return data::part_role(name) != data::PartRole::none && name.find_first_of("0123456789") == std::string::npos;
}

}  // namespace

ArrayRole array_role(const std::string& name) {
  static const std::map<std::string, std::string> contents = {
      {"images", "pictures"}, {"image", "pictures"}, {"imgs", "pictures"}, {"x", "pictures"},    {"data", "pictures"},
      {"labels", "labels"},   {"label", "labels"},   {"y", "labels"},      {"target", "labels"}, {"targets", "labels"}};
  std::string lower = simclr::lower_case(name);
  std::replace(lower.begin(), lower.end(), '-', '_');
  if (lower == "arr_0") return {"", "pictures"};
  if (lower == "arr_1") return {"", "labels"};
  if (const auto content = contents.find(lower); content != contents.end()) return {"", content->second};
  for (std::size_t line = lower.find('_'); line != std::string::npos; line = lower.find('_', line + 1)) {
    const std::string first = lower.substr(0, line), second = lower.substr(line + 1);
    for (const auto& [part, content] : {std::pair(first, second), std::pair(second, first)}) {
      const data::PartName known = data::part_name(part);
      if (known.role != data::PartRole::none && contents.count(content) > 0) {
        return {std::string(known.word), contents.at(content)};
      }
    }
  }
  if (is_part_alone(lower)) return {std::string(data::part_name(lower).word), "pictures", false};
  const std::size_t last = lower.rfind('_');  // of "x_train_sat4"
  if (last == std::string::npos || last + 1 == lower.size() || std::isdigit(lower[last + 1]) != 0) return {};
  ArrayRole role = array_role(lower.substr(0, last));
  if (role.part.empty() || !role.sure) return {};
  role.sure = false;
  return role;
}

Arrays::Arrays(const std::string& given, bool beside) : path_(only_npz(given)) {
  const std::string& path = path_;
  std::error_code error;
  SIMCLR_CHECK(fs::exists(path, error), "--data ", path, ": no such file or folder");
  if (fs::is_directory(path, error)) {
    for (const auto& entry : fs::directory_iterator(path)) add_file(entry.path().string());
  } else if (is_npz(path)) {
    zipped_ = true;
    for (const std::string& name : data::list_npz(path)) names_.push_back(name);
  } else if (!beside) {
    add_file(path);
  } else {
    const ArrayRole own = array_role(fs::path(path).stem().string());
    for (const auto& entry : fs::directory_iterator(array_folder(path))) {
      const ArrayRole role = array_role(entry.path().stem().string());
      if (fs::equivalent(entry.path(), path, error)) {
        add_file(path);
      } else if (!own.content.empty() && !role.content.empty() && own.part.empty() == role.part.empty() &&
                 (role.part != own.part || role.content != own.content)) {  // of its own role it alone is named
        add_file(entry.path().string());
      }
    }
  }
  std::sort(names_.begin(), names_.end());
  const bool other = zipped_ && data::ending_of(path) != ".npz";  // a zip file of something else, as .xlsx is
  SIMCLR_CHECK(!names_.empty(), "--data ", path, ": holds no arrays; ",
               other ? how_to_read_file(path) : "save them by np.savez or np.save");
}

std::vector<std::string> Arrays::npzs() const {
  return look_into(path_).npzs;
}

std::shared_ptr<const data::NpyArray> Arrays::open(const std::string& name) const {
  return zipped_ ? data::read_npz(path_, name) : data::open_npy(files_.at(name));
}

void Arrays::add_file(const std::string& path) {
  if (data::ending_of(path) != ".npy" && path != path_) return;
  names_.push_back(fs::path(path).stem().string());
  files_[names_.back()] = path;
}

bool holds_arrays(const std::string& path) {
  if (is_array_file(path)) return true;
  const Found found = look_into(path);
  return found.pictures || !found.npzs.empty();
}

bool is_array_file(const std::string& path) {
  std::error_code error;
  return fs::is_regular_file(path, error) && (is_npz(path) || begins_with(path, "\x93NUMPY"));
}

std::vector<std::string> array_files(const std::string& path) {
  const Arrays arrays(path);
  if (arrays.zipped()) return {fs::path(arrays.path()).filename().string()};
  std::vector<std::string> files;
  for (const std::string& name : arrays.names()) files.push_back(fs::path(arrays.file(name)).filename().string());
  return files;
}

std::string array_folder(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return path;
  const std::string folder = fs::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}
