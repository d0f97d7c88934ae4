#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

/// What the files of a data set of pictures are (train/data_files.h). `kind` as Datasets has it, `dir` as --data gives
/// it.
nlohmann::ordered_json list_picture_files(const std::string& kind, const std::string& dir);

/// As refuse_in_data() of each path, and for the files that the data name or have beside them: tar shards, files of
/// arrays, the pictures of a list, and what lies in their folders, but for those that the list itself lies in; for a
/// .npy file also the folder of a .npy file that is read. Throws where the data cannot be read.
void refuse_in_pictures(const std::string& option, const std::vector<std::string>& paths, const std::string& kind,
                        const std::string& data);

/// The folders that hold the data, A::B: of a list those of the pictures that it names, of another file its own. Throws
/// simclr::Error where a list cannot be read.
std::string folders_of_pictures(const std::string& kind, const std::string& data);
