#pragma once

#include "run/event_file.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

inline constexpr const char* weights_file = "model.safetensors";
inline constexpr const char* checkpoint_folder = "checkpoints";

/// A path as one word of a shell's command line.
std::string shell_quoted(const std::string& path);

/// Whether `path`, which need not exist, is `folder` or lies in it, links followed; no where `folder` is empty.
/// It may be several places (split_places()).
bool lies_in(const std::string& path, const std::string& folder);

/// For every program, of all that it is to write: throws simclr::Error, opened by `option`, where the file or folder
/// `path` lies in a folder of the `data`, where it would become data, or is a file of them, which would be lost.
/// `data` may be several places; either may be empty.
void refuse_in_data(const std::string& option, const std::string& path, const std::string& data);

/// The same for a file that is named by itself: throws where it is one of a run's own, as its config.json.
void refuse_in_run(const std::string& option, const std::string& path);

/// `path`, or where that lies in the folder of the data its like beside that folder: nothing is written into the data
/// unless it was asked for by name.
std::string beside_data(const std::string& path, const std::string& data);

/// Makes the folder of --out, and those above it. Throws simclr::Error where it cannot.
void make_folder(const std::string& path);

/// `path` if no file has that name, else the first free one of STEM-2.EXT, STEM-3.EXT and so on.
std::string free_name(const std::string& path);

/// Where a run leaves its files: config.json, log.jsonl (one JSON object a line), an event file for TensorBoard,
/// checkpoints, the weights and the report. Only one process writes to it at a time. Nothing that is there is removed,
/// cut or replaced but by clear(): see docs/decisions/nothing-is-lost.md.
class RunFolder {
 public:
  /// Makes the folder; empty `dir`: a new one, runs/<name>-<date>-<time> or that with -2, -3 and so on, beside `data`
  /// where that is the current folder. Throws simclr::Error when it cannot be made or written, and when another process
  /// writes to it.
  RunFolder(const std::string& dir, const std::string& name, const std::string& data);
  /// The same folder in a rank of the run that writes nothing: what would write does nothing.
  explicit RunFolder(const std::string& path) : path_(path) {}
  /// Removes the log if this process has made it and nothing was logged.
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  /// Whether it has a file or folder of that name.
  bool has(const std::string& name) const;

  /// Whether it holds a run, or what is left of one.
  bool used() const { return !runs_files().empty(); }
  /// Removes another run's files, as --overwrite says. Files that no run writes stay.
  void clear();

  /// Writes config.json, atomically. One that is there and says something else becomes config.before-N.json.
  void write_config(const nlohmann::ordered_json& config) const;
  /// Renames a file, where it is there, to STEM.before-N.EXT, with the first N that is free.
  void set_aside(const std::string& name) const;
  /// Makes the event file from the log so far; log() adds to it from then on.
  void open_events();
  /// The same for one that can no longer be made from the log: it is kept as events.before-N.
  void set_events_aside() const;
  /// Adds a line to log.jsonl, with the time in seconds since 1970. Throws simclr::Error when the disk is full.
  void log(nlohmann::ordered_json entry);
  std::int64_t log_bytes() const { return log_bytes_; }
  /// The log's entries so far.
  std::vector<LogEntry> entries() const;
  /// Makes sure that log.jsonl is on the disk.
  void flush_log();
  /// Moves the lines that log.jsonl holds behind so many bytes to log.cut-N.jsonl, with the first N that is free.
  /// False, and nothing is moved, where it is shorter, or no line ends there: then it is not the log that was so long.
  bool cut_log(std::int64_t bytes);

 private:
  std::vector<std::string> runs_files() const;
  void truncate_log(std::int64_t bytes);

  std::string path_;
  int log_ = -1;  // -1: nothing is written
  bool made_log_ = false;
  std::int64_t log_bytes_ = 0;
  std::optional<EventFile> events_;
};
