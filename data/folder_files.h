#pragma once

// Private: what lies in a folder and below it, for the readers of folders.

#include <simclr/data/path_list.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

namespace simclr::data {

/// What a folder holds, without its files' contents.
struct FolderEntry {
  std::string name;
  bool folder = false, link = false, dead = false, regular = false;
};

/// Sorted by name. Returns what went wrong, or nothing.
std::error_code list_entries(const std::filesystem::path& dir, std::vector<FolderEntry>& entries);

/// Whether no reader looks into a folder of that name: caches, thumbnails, what archives leave.
bool is_hidden_folder(const std::string& name);

/// The files of a folder and of all folders below it.
struct FolderFiles {
  PathList files;                          // paths from the folder, in order of the names in each
  std::vector<std::string> left_out = {};  // "2 files that begin with a dot", "the dead link old"
  std::vector<std::string> warnings = {};  // a line for each folder that could not be listed
};

/// Lists them. Links to folders are followed, but for those that lead back, and the same folder is read once below each
/// folder of `dir`. Folders whose names begin with ".", "@" or "__" (caches, thumbnails, what archives leave) and files
/// whose names begin with a dot are left out. Throws Error where `dir` is no folder or cannot be listed.
FolderFiles list_files(const std::string& dir);

}  // namespace simclr::data
