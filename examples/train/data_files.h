#pragma once

#include <nlohmann/json.hpp>

#include <string>

/// What a data set's files are, by names and sizes, is {"files": their number, "bytes": of all, "content": a digest of
/// names and sizes whatever folder they are in, "folders": {folder: [files, digest]}}.

/// What differs, in one line: "class0 40 -> 36 files, class9 is gone (40 files), ..."; empty: nothing does.
std::string data_files_differ(const nlohmann::ordered_json& before, const nlohmann::ordered_json& now);
