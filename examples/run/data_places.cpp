#include "run/data_places.h"

#include <simclr/core/error.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <system_error>

std::vector<std::string> split_places(const std::string& data) {
  std::error_code error;
  if (data.find("::") == std::string::npos || std::filesystem::exists(data, error)) return {data};
  std::vector<std::string> places;
  for (std::size_t begin = 0; begin <= data.size();) {
    const std::size_t end = std::min(data.find("::", begin), data.size());
    places.push_back(data.substr(begin, end - begin));
    SIMCLR_CHECK(!places.back().empty(), "--data ", data, ": a place is empty; write one on each side of ::");
    begin = end + 2;
  }
  return places;
}

std::string join_places(const std::set<std::string>& folders) {
  std::string all;
  for (const std::string& folder : folders) all += (all.empty() ? "" : "::") + (folder.empty() ? "." : folder);
  return all;
}

std::filesystem::path whole_path(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::path found = std::filesystem::weakly_canonical(std::filesystem::absolute(path, error), error);
  return error ? path : found;
}
