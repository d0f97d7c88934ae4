#pragma once

// Private to core.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace simclr {

/// What goes on beside the calling thread, as a GPU's collectives do. The watchdog's thread asks.
struct Beside {
  /// The number of the last wait that was begun, where it is not over; else 0. A program that goes on begins others.
  std::function<std::uint64_t()> waits_in = [] { return std::uint64_t{0}; };
  /// What has gone wrong; empty: nothing.
  std::function<std::string()> problem = [] { return std::string(); };
};

/// Ends the process, with one line, where it waits for others too long, or where something goes wrong beside it. A wait
/// costs two additions; the time that a whole machine or process stood still, as a scheduler's suspension does, does
/// not count.
class Watchdog {
 public:
  /// `who` begins the line: "rank 2 of 4".
  Watchdog(std::string who, std::chrono::milliseconds timeout, Beside beside = {});
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
  [[noreturn]] void end_process(const std::string& why) const;

  std::string who_;
  Beside beside_;
  std::atomic<std::int64_t> timeout_;  // ms
  std::atomic<const char*> what_{""};
  std::atomic<std::uint64_t> count_{0};  // odd: in a wait
  std::mutex mutex_;
  std::condition_variable end_;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace simclr
