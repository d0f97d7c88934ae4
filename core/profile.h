#pragma once

#include <simclr/core/device.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace simclr {

/// Where the time of a training step goes, kernel by kernel. While one lives, the kernels that this thread runs through
/// the slots are timed, and so are ProfileScopes; on a GPU the host waits for the device before and after each, so a
/// step takes longer than it does otherwise, and must not be one captured graph. Profiles do not nest.
///
///   Profile profile(device);
///   for (...) {
///     ...                     // a step
///     profile.end_step();
///   }
///   std::puts(profile.table().c_str());
class SIMCLR_API Profile {
 public:
  /// The first `warm_up` steps do not count: buffers and the libraries' plans are made there.
  explicit Profile(Device device, int warm_up = 2);
  ~Profile();
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;

  /// What happened since the last call was a step.
  void end_step();
  /// What happened since the last call was no part of a step: an evaluation.
  void leave_out();

  struct Line {
    std::string_view name;
    std::int64_t calls = 0;
    double seconds = 0;
  };
  /// Of all steps that count, the longest first. Last stands "other", between the kernels: with it the seconds add up
  /// to seconds().
  std::vector<Line> lines() const;
  std::int64_t steps() const { return steps_; }
  double seconds() const { return seconds_; }
  /// A line of text for each of lines(): calls and milliseconds a step, and the share.
  std::string table() const;

 private:
  friend class ProfileScope;
  using Clock = std::chrono::steady_clock;

  Device device_;
  int warm_up_;
  bool inside_ = false;  // a scope: what runs in it is its
  Clock::time_point mark_;
  std::unordered_map<std::string_view, Line> current_, total_;
  std::int64_t steps_ = 0;
  double seconds_ = 0;
};

/// What this thread does while it lives counts as `name` in the Profile, where there is one; within another scope it
/// counts as that one's.
class SIMCLR_API ProfileScope {
 public:
  /// `name` must last.
  explicit ProfileScope(const char* name);
  ~ProfileScope();
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 private:
  Profile* profile_;  // null: nobody asks
  const char* name_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace simclr
