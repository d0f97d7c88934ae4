#pragma once

#include <simclr/core/text.h>

#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <tuple>

/// One line that shows how a training goes. On a terminal it is redrawn in place and cut to fit; elsewhere a plain line
/// is printed every few seconds, so that a log stays readable.
class Progress {
 public:
  struct State {
    std::string what = {};                   // is trained, where a program trains several
    int epoch = 0, epochs = 0;               // epoch counts from 1
    std::int64_t step = 0, steps = 0;        // of the epoch
    double loss = 0, chance = 0, bound = 0;  // chance 0: it has none
    double learning_rate = 0;
    double samples_per_second = 0;
    double seconds_left = 0;
  };

  /// Redraws its line on a terminal. mpirun makes one for its first process, whatever it passes the lines on to.
  Progress();
  /// Ends the drawn line, so that what follows, an error say, stands below it.
  ~Progress() { leave_drawn_line(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Draws the state if it is time to, or if `now` says so; that of a step once.
  void show(const State& state, bool now = false);
  /// The same for a line of another kind.
  void show(const std::string& line, bool now = false);
  /// Prints a line of its own below what is drawn.
  void message(const std::string& line);
  /// Prints a warning on stderr. The same text is said once: several loaders read the same samples.
  void warn(const std::string& text);
  /// Opens each warning by who it is that warns, "rank 1: " say.
  void name_speaker(const std::string& speaker) { speaker_ = speaker; }
  /// What was warned of, a text a line.
  std::string warned() const;
  /// Another process has: `texts` are its warned(), and are not said again here.
  void was_warned(const std::string& texts);

 private:
  bool due(bool now);
  void draw(std::string line);
  void leave_drawn_line();

  bool terminal_;
  bool drawn_ = false;
  std::tuple<std::string, int, std::int64_t> shown_;  // what, epoch and step
  std::chrono::steady_clock::time_point next_;
  std::string speaker_;
  std::set<std::string> warned_;
};

/// Shows how far a pass over some samples is: "LABEL: 1200 of 5000 clips, 350 a second, 12 s left".
class PassProgress {
 public:
  /// `samples`: what they are called.
  PassProgress(Progress& progress, std::string label, std::string samples);
  void operator()(std::int64_t done, std::int64_t total) const;

 private:
  Progress* progress_;
  std::string label_, samples_;
  std::chrono::steady_clock::time_point start_;
};

/// "1 h 02 min", "3 min 20 s" or "12 s".
std::string duration_text(double seconds);

/// "1,234,567"
std::string grouped(std::int64_t number);
/// To so many significant digits: "0.0123", "1.2e+06".
std::string rounded(double number, int digits = 3);

/// Since then.
double seconds_since(std::chrono::steady_clock::time_point start);

using simclr::counted;  // "1 epoch" or "12 epochs"
