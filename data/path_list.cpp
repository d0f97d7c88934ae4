#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/path_list.h>

#include <algorithm>
#include <functional>
#include <limits>

namespace simclr::data {

PathList::PathList(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) push_back(path);
}

void PathList::push_back(std::string_view path) {
  const std::size_t name = path.rfind('/') + 1;  // 0 where there is no folder
  folder_of_.push_back(number_of(path.substr(0, name)));
  names_.push_back(texts_.size());
  texts_ += path.substr(name);
  texts_ += '\0';
}

std::uint32_t PathList::number_of(std::string_view folder) {
  if (!folder_of_.empty() && folders_[folder_of_.back()] == folder) return folder_of_.back();
  const std::size_t hash = std::hash<std::string_view>()(folder);
  for (auto [known, last] = numbers_.equal_range(hash); known != last; ++known) {
    if (folders_[known->second] == folder) return known->second;
  }
  SIMCLR_CHECK(folders_.size() < std::numeric_limits<std::uint32_t>::max(), "path list: more than 2^32 folders");
  const auto number = static_cast<std::uint32_t>(folders_.size());
  folders_.emplace_back(folder);
  numbers_.emplace(hash, number);
  return number;
}

std::string PathList::operator[](std::size_t i) const {
  return folders_[folder_of_[i]] + &texts_[names_[i]];
}

bool PathList::operator==(const std::vector<std::string>& paths) const {
  return std::equal(begin(), end(), paths.begin(), paths.end());
}

std::string ending_of(const std::string& path) {
  // As std::filesystem::path::extension() has it, but without taking a million paths apart.
  const std::string_view name = std::string_view(path).substr(path.rfind('/') + 1);
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || name == "..") return {};
  return lower_case(name.substr(dot));
}

}  // namespace simclr::data
