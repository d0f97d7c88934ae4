#pragma once

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <vector>

/// A run's log.jsonl: one JSON object a line, each with its "event".
using LogEntry = nlohmann::ordered_json;

/// The entries of the log at `path`, in order. A line that is not an entry is left out: a kill may have cut the last
/// one off. Throws simclr::Error where the file cannot be read.
std::vector<LogEntry> read_run_log(const std::string& path);

/// The entry's "event".
std::string event_of(const LogEntry& entry);

/// The number under `key`; none where it is missing or null, which is how JSON writes NaN.
std::optional<double> number_of(const nlohmann::ordered_json& object, const std::string& key);

/// The object under `key`; an empty one where there is none.
nlohmann::ordered_json object_of(const nlohmann::ordered_json& object, const std::string& key);
