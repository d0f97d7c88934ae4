#pragma once

#include "common.h"

#include <chrono>
#include <functional>
#include <memory>
#include <thread>

namespace simclr::python {

/// A library's `poll` that ends a long call at Ctrl-C, a few times a second in the thread that makes the call: Python
/// runs signals' handlers in its main thread alone, and other threads of the work must not wait for its lock.
inline std::function<void()> signals() {
  using Clock = std::chrono::steady_clock;
  static constexpr auto pause = std::chrono::milliseconds(100);  // short calls take the lock not at all
  return [caller = std::this_thread::get_id(), next = std::make_shared<Clock::time_point>(Clock::now() + pause)] {
    if (std::this_thread::get_id() != caller || Clock::now() < *next) return;
    const nb::gil_scoped_acquire locked;
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
    *next = Clock::now() + pause;
  };
}

}  // namespace simclr::python
