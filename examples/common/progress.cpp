#include "common/progress.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <string>

namespace {

constexpr auto terminal_interval = std::chrono::milliseconds(200);
constexpr auto plain_interval = std::chrono::seconds(10);

template <class... Parts>
std::string format(const char* pattern, Parts... parts) {
  char text[256];
  std::snprintf(text, sizeof text, pattern, parts...);
  return text;
}

}  // namespace

std::string duration_text(double seconds) {
  const auto total = static_cast<long>(std::lround(std::fmax(0.0, seconds)));
  if (total >= 3600) return format("%ld h %02ld min", total / 3600, total % 3600 / 60);
  if (total >= 60) return format("%ld min %02ld s", total / 60, total % 60);
  return format("%ld s", total);
}

Progress::Progress() : terminal_(isatty(STDOUT_FILENO) != 0) {}

void Progress::show(const State& s, bool now) {
  const auto time = std::chrono::steady_clock::now();
  if (!now && time < next_) return;
  next_ = time + (terminal_ ? std::chrono::steady_clock::duration(terminal_interval) : plain_interval);
  const std::string line =
      format("epoch %d/%d  step %lld/%lld  loss %.3f (chance %.2f, bound %.2f)  lr %.4f  %.0f images/s  %s left",
             s.epoch, s.epochs, static_cast<long long>(s.step), static_cast<long long>(s.steps), s.loss, s.chance,
             s.bound, s.learning_rate, s.images_per_second, duration_text(s.seconds_left).c_str());
  if (terminal_) {
    std::printf("\r%s\033[K", line.c_str());
    drawn_ = true;
  } else {
    std::printf("%s\n", line.c_str());
  }
  std::fflush(stdout);
}

void Progress::message(const std::string& line) {
  if (drawn_) std::printf("\n");
  drawn_ = false;
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}
