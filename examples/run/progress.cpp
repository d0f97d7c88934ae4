#include "run/progress.h"

#include "run/host.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <utility>

namespace {

constexpr auto terminal_interval = std::chrono::milliseconds(200);
constexpr auto plain_interval = std::chrono::seconds(10);

template <class... Parts>
std::string format(const char* pattern, Parts... parts) {
  char text[256];
  std::snprintf(text, sizeof text, pattern, parts...);
  return text;
}

/// With so many decimals, where they tell anything.
std::string number_text(double number, int decimals) {
  return std::fabs(number) < 1e6 ? format("%.*f", decimals, number) : format("%.3g", number);
}

/// A longer line would wrap, and only its last part would be redrawn.
std::size_t terminal_room() {
  winsize window{};
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1;
  return known ? window.ws_col - std::size_t{1} : std::string::npos;
}

}  // namespace

std::string duration_text(double seconds) {
  const auto total = static_cast<long>(std::lround(std::fmax(0.0, seconds)));
  if (total >= 3600) return format("%ld h %02ld min", total / 3600, total % 3600 / 60);
  if (total >= 60) return format("%ld min %02ld s", total / 60, total % 60);
  return format("%ld s", total);
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string rounded(double number, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*g", digits, number);
  return text;
}

std::string grouped(std::int64_t number) {
  std::string text = std::to_string(number);
  for (auto at = static_cast<std::int64_t>(text.size()) - 3; at > (number < 0 ? 1 : 0); at -= 3) {
    text.insert(static_cast<std::size_t>(at), ",");
  }
  return text;
}

Progress::Progress()
    : terminal_(Host::current() ? Host::current()->is_terminal()
                                : isatty(STDOUT_FILENO) != 0 && std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr) {}

bool Progress::due(bool now) {
  const auto time = std::chrono::steady_clock::now();
  if (!now && time < next_) return false;
  next_ = time + (terminal_ ? std::chrono::steady_clock::duration(terminal_interval) : plain_interval);
  return true;
}

void Progress::draw(std::string line) {
  if (terminal_) {
    line.resize(std::min(line.size(), terminal_room()));
    print("\r%s\033[K", line.c_str());
    drawn_ = true;
  } else {
    print("%s\n", line.c_str());
  }
  flush_printed();
}

void Progress::show(const State& s, bool now) {
  const std::tuple step(s.what, s.epoch, s.step);
  if (step == shown_ || !due(now)) return;
  shown_ = step;
  const std::string loss = s.what +
                           format("epoch %d/%d  step %lld/%lld  loss ", s.epoch, s.epochs,
                                  static_cast<long long>(s.step), static_cast<long long>(s.steps)) +
                           number_text(s.loss, 3);
  const std::string speed =
      "  lr " + number_text(s.learning_rate, 4) +
      format("  %.0f samples/s  %s left", s.samples_per_second, duration_text(s.seconds_left).c_str());
  const std::string line = loss + (s.chance > 0 ? format(" (chance %.2f, bound %.2f)", s.chance, s.bound) : "") + speed;
  draw(terminal_ && line.size() > terminal_room() ? loss + speed : line);
}

void Progress::show(const std::string& line, bool now) {
  if (due(now)) draw(line);
}

void Progress::message(const std::string& line) {
  leave_drawn_line();
  print("%s\n", line.c_str());
  flush_printed();
}

void Progress::warn(const std::string& text) {
  if (!warned_.insert(text).second) return;
  leave_drawn_line();
  if (Host* const host = Host::current()) return host->warn(text);
  flush_printed();
  std::cerr << "warning: " + speaker_ + text + "\n";
}

std::string Progress::warned() const {
  std::string texts;
  for (const std::string& text : warned_) texts += text + "\n";
  return texts;
}

void Progress::was_warned(const std::string& texts) {
  std::istringstream lines(texts);
  for (std::string line; std::getline(lines, line);) warned_.insert(line);
}

void Progress::leave_drawn_line() {
  if (drawn_) print("\n");
  drawn_ = false;
}

PassProgress::PassProgress(Progress& progress, std::string label, std::string samples)
    : progress_(&progress),
      label_(std::move(label)),
      samples_(std::move(samples)),
      start_(std::chrono::steady_clock::now()) {}

void PassProgress::operator()(std::int64_t done, std::int64_t total) const {
  const double seconds = seconds_since(start_);
  const double rate = static_cast<double>(done) / seconds;
  progress_->show(label_ + format(": %lld of %lld %s, %.0f a second, %s left", static_cast<long long>(done),
                                  static_cast<long long>(total), samples_.c_str(), rate,
                                  duration_text(static_cast<double>(total - done) / rate).c_str()),
                  done == total);
}
