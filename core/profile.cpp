#include <simclr/core/context.h>
#include <simclr/core/error.h>
#include <simclr/core/profile.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace simclr {
namespace {

thread_local Profile* active = nullptr;

double seconds_between(std::chrono::steady_clock::time_point from, std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

std::string text_line(std::string_view name, double calls, double seconds, double share) {
  char line[128];
  std::snprintf(line, sizeof line, "%-28.*s %7.1f %11.3f %6.1f %%\n", static_cast<int>(name.size()), name.data(), calls,
                seconds * 1e3, share * 100);
  return line;
}

}  // namespace

Profile::Profile(Device device, int warm_up) : device_(device), warm_up_(warm_up) {
  SIMCLR_CHECK(active == nullptr, "profile: this thread has one already; they do not nest");
  Context::of(device_).synchronize();
  mark_ = Clock::now();
  active = this;
}

Profile::~Profile() {
  active = nullptr;
}

void Profile::end_step() {
  const auto start = mark_;
  const auto ops = std::exchange(current_, {});
  leave_out();
  if (warm_up_ > 0) {
    --warm_up_;
    return;
  }
  for (const auto& [name, line] : ops) {
    Line& sum = total_.try_emplace(name, Line{name}).first->second;
    sum.calls += line.calls;
    sum.seconds += line.seconds;
  }
  seconds_ += seconds_between(start, mark_);
  ++steps_;
}

void Profile::leave_out() {
  Context::of(device_).synchronize();
  current_.clear();
  mark_ = Clock::now();
}

std::vector<Profile::Line> Profile::lines() const {
  std::vector<Line> lines;
  double other = seconds_;
  for (const auto& [name, line] : total_) {
    lines.push_back(line);
    other -= line.seconds;
  }
  std::sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) { return a.seconds > b.seconds; });
  lines.push_back({"other", steps_, other});
  return lines;
}

std::string Profile::table() const {
  if (steps_ == 0) return "profile: there was no step after those that warm up";
  char head[128];
  std::snprintf(head, sizeof head, "%-28s %7s %11s %8s\n", ("steps: " + std::to_string(steps_)).c_str(), "calls",
                "ms a step", "share");
  std::string table = head;
  const auto steps = static_cast<double>(steps_);
  for (const Line& line : lines()) {
    table +=
        text_line(line.name, static_cast<double>(line.calls) / steps, line.seconds / steps, line.seconds / seconds_);
  }
  table += text_line("all", 1, seconds_ / steps, 1);
  table.pop_back();
  return table;
}

ProfileScope::ProfileScope(const char* name)
    : profile_(active != nullptr && !active->inside_ ? active : nullptr), name_(name) {
  if (profile_ == nullptr) return;
  profile_->inside_ = true;
  Context::of(profile_->device_).synchronize();
  start_ = Profile::Clock::now();
}

ProfileScope::~ProfileScope() {
  if (profile_ == nullptr) return;
  profile_->inside_ = false;
  try {
    Context::of(profile_->device_).synchronize();
    Profile::Line& line = profile_->current_[name_];
    line.name = name_;
    ++line.calls;
    line.seconds += seconds_between(start_, Profile::Clock::now());
  } catch (...) {  // a fault of the device shows where its results are read
  }
}

}  // namespace simclr
