#pragma once

#include <nlohmann/json.hpp>

#include <fstream>
#include <string>

inline constexpr const char* weights_file = "model.safetensors";

/// Where a run leaves its files: config.json, log.jsonl (one JSON object a line) and the weights.
class RunFolder {
 public:
  /// Makes the folder; empty `dir`: runs/<name>-<date>-<time>. Throws simclr::Error when it cannot be made or written,
  /// or when it already holds a run and `overwrite` is false.
  RunFolder(const std::string& dir, const std::string& name, bool overwrite);

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

  /// Writes a whole JSON file, atomically.
  void write(const std::string& name, const nlohmann::ordered_json& json) const;
  /// Adds a line to log.jsonl. Throws simclr::Error when the disk is full.
  void log(const nlohmann::ordered_json& entry);

 private:
  std::string path_;
  std::ofstream log_;
};
