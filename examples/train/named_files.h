#pragma once

#include <simclr/data/path_list.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

/// What outputs are kept from besides the folders that data name: what lies elsewhere.
struct NamedFiles {
  std::vector<std::string> files;           // that the data name, or have beside them
  std::set<std::filesystem::path> folders;  // absolute

  /// The files that a list names, and their folders, but for those that the list itself lies in: what lies there is no
  /// data unless the list says so.
  void add_list(const std::string& list, const simclr::data::PathList& listed);
};

/// The folders of the files that a list names, by paths as the list's own.
std::set<std::string> folders_of_list(const std::string& list, const simclr::data::PathList& listed);

/// As refuse_in_data() of each path: where it lies in one of the folders, or is one of the files.
void refuse_in_named(const std::string& option, const std::vector<std::string>& paths, const NamedFiles& named);
