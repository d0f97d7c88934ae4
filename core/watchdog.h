#pragma once

// Private to core.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

namespace simclr {

/// Ends the process, with one line, where it waits for others too long. A wait costs two additions; the time that a
/// whole machine or process stood still, as a scheduler's suspension does, does not count.
class Watchdog {
 public:
  /// `who` begins the line: "rank 2 of 4".
  Watchdog(std::string who, std::chrono::milliseconds timeout);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  void set_timeout(std::chrono::milliseconds timeout) { timeout_ = timeout.count(); }

  /// Calls `wait`, which may take the timeout.
  template <class Wait>
  void watch(const char* what, const Wait& wait) {
    what_.store(what, std::memory_order_relaxed);
    ++count_;
    wait();
    ++count_;
  }

 private:
  void live();

  std::string who_;
  std::atomic<std::int64_t> timeout_;  // ms
  std::atomic<const char*> what_{""};
  std::atomic<std::uint64_t> count_{0};  // odd: in a wait
  std::mutex mutex_;
  std::condition_variable end_;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace simclr
