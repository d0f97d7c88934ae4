#pragma once

#include <nlohmann/json.hpp>

#include <string>

/// What the files of a data set of pictures are (train/data_files.h). `kind` as Datasets has it, `dir` as --data gives
/// it.
nlohmann::ordered_json list_picture_files(const std::string& kind, const std::string& dir);

/// The folders that hold the data, A::B: of a list those of the pictures that it names, of another file its own. Throws
/// simclr::Error where a list cannot be read.
std::string folders_of_pictures(const std::string& kind, const std::string& data);
