#pragma once

#include <nlohmann/json.hpp>

#include <functional>
#include <string>
#include <vector>

/// What a data set's files are, by names and sizes: enough to notice that others lie there when a run goes on. No file
/// is read, and times do not count. {"files": their number, "bytes": of all, "content": a digest of names and sizes
/// whatever folder they are in, "folders": {folder: [files, digest]}}.

/// Of these files, paths from `dir`. One that cannot be found has no bytes: reading it tells.
nlohmann::ordered_json list_data_files(const std::string& dir, const std::vector<std::string>& files);

/// Of those in `dir` and in the folders below it whose name says that they are data. Hidden folders are left out, and
/// what cannot be listed: opening the data set says so.
nlohmann::ordered_json list_data_files(const std::string& dir,
                                       const std::function<bool(const std::string& name)>& is_data);

/// What differs, in one line: "class0 40 -> 36 files, class9 is gone (40 files), ..."; empty: nothing does.
std::string data_files_differ(const nlohmann::ordered_json& before, const nlohmann::ordered_json& now);
