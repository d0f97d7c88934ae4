#include "run/run_log.h"

#include <simclr/core/error.h>

#include <fstream>

std::vector<LogEntry> read_run_log(const std::string& path) {
  std::ifstream file(path);
  SIMCLR_CHECK(file.good(), path, ": cannot be read; is this the folder of a run?");
  std::vector<LogEntry> entries;
  for (std::string line; std::getline(file, line);) {
    LogEntry entry = LogEntry::parse(line, nullptr, false);
    if (entry.is_object() && !event_of(entry).empty()) entries.push_back(std::move(entry));
  }
  return entries;
}

std::string event_of(const LogEntry& entry) {
  const auto event = entry.find("event");
  return event != entry.end() && event->is_string() ? event->get<std::string>() : "";
}

std::optional<double> number_of(const nlohmann::ordered_json& object, const std::string& key) {
  if (!object.is_object()) return std::nullopt;
  const auto value = object.find(key);
  if (value == object.end() || !value->is_number()) return std::nullopt;
  return value->get<double>();
}

nlohmann::ordered_json object_of(const nlohmann::ordered_json& object, const std::string& key) {
  const bool found = object.is_object() && object.contains(key) && object[key].is_object();
  return found ? object[key] : nlohmann::ordered_json::object();
}
