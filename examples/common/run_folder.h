#pragma once

#include "common/event_file.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>

inline constexpr const char* weights_file = "model.safetensors";
inline constexpr const char* checkpoint_folder = "checkpoints";

/// A path as one word of a shell's command line.
std::string shell_quoted(const std::string& path);

/// Whether `path`, which need not exist, is `folder` or lies in it, links followed; no where `folder` is empty.
bool lies_in(const std::string& path, const std::string& folder);

/// `path`, or where that lies in the folder of the data its like beside that folder: nothing is written into the data
/// unless it was asked for by name.
std::string beside_data(const std::string& path, const std::string& data);

/// Makes the folder of --out, and those above it. Throws simclr::Error where it cannot.
void make_folder(const std::string& path);

/// Where a run leaves its files: config.json, log.jsonl (one JSON object a line), an event file for TensorBoard,
/// checkpoints, the weights and the report. Only one process writes to it at a time.
class RunFolder {
 public:
  /// Makes the folder; empty `dir`: runs/<name>-<date>-<time>, beside `data` where that is the current folder. Throws
  /// simclr::Error when it cannot be made or written, and when another process writes to it.
  RunFolder(const std::string& dir, const std::string& name, const std::string& data = "");
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

  /// Whether it holds a run.
  bool used() const;
  /// Removes another run's files.
  void clear();

  /// Writes a whole JSON file, atomically.
  void write(const std::string& name, const nlohmann::ordered_json& json) const;
  /// Makes the event file from the log so far; log() adds to it from then on.
  void open_events();
  /// Adds a line to log.jsonl, with the time in seconds since 1970. Throws simclr::Error when the disk is full.
  void log(nlohmann::ordered_json entry);
  std::int64_t log_bytes() const { return log_bytes_; }
  /// Makes sure that log.jsonl is on the disk.
  void flush_log();
  /// Drops what log.jsonl holds behind so many bytes; false where it is shorter.
  bool cut_log(std::int64_t bytes);

 private:
  std::string path_;
  int log_ = -1;
  std::int64_t log_bytes_ = 0;
  std::optional<EventFile> events_;
};
