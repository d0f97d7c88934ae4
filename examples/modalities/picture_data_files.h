#pragma once

#include <nlohmann/json.hpp>

#include <string>

/// What a data set's files are, by names and sizes: enough to notice that others lie there when a run goes on. No
/// picture is read, and times do not count. {"files": their number, "bytes": of all, "content": a digest of names and
/// sizes whatever folder they are in, "folders": {folder: [files, digest]}}. `kind` as Datasets has it, `dir` as --data
/// gives it.
nlohmann::ordered_json list_data_files(const std::string& kind, const std::string& dir);
