#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

/// Where data lie that are in several places, "siteA::siteB.csv": what stands between "::". One place where a file or a
/// folder is called so. Throws simclr::Error where one is empty.
std::vector<std::string> split_places(const std::string& data);

/// The reverse, of folders; an empty one is the current folder, ".".
std::string join_places(const std::set<std::string>& folders);

/// The absolute path, links followed as far as it is there; `path` itself where that cannot be told.
std::filesystem::path whole_path(const std::filesystem::path& path);
