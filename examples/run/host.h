#pragma once

#include <string>

/// A process that runs a training within itself, as Python does, and what it is told, instead of the terminal. Its
/// calls come from the thread that runs the training, but for stop(), which comes from loaders' threads, too.
/// None may throw.
class Host {
 public:
  virtual ~Host() = default;

  /// What is printed: some lines, or a part of one.
  virtual void print(const std::string& text) = 0;
  /// Whether a line may be drawn over.
  virtual bool is_terminal() const = 0;
  virtual void warn(const std::string& text) = 0;
  /// The run's folder, once it is known that the run begins or that it is finished: then once or twice.
  virtual void folder(const std::string& path) = 0;
  /// A line of log.jsonl that was written there.
  virtual void logged(const std::string& entry) = 0;
  /// Whether the run shall be left now: true once for each time that it is asked for.
  virtual bool stop() = 0;

  /// The process's own; null: the program is a process of its own.
  static Host* current();
};

/// While one lives, the programs' parts tell `host`. One at a time.
class Hosted {
 public:
  explicit Hosted(Host& host);
  ~Hosted();
  Hosted(const Hosted&) = delete;
  Hosted& operator=(const Hosted&) = delete;
};

/// As printf(), on stdout or to the host.
[[gnu::format(printf, 1, 2)]] void print(const char* format, ...);
/// Writes out what stdout holds back.
void flush_printed();
