#pragma once

#include "common.h"

#include "run/host.h"
#include "train/modality.h"

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <thread>

namespace simclr::python {

/// Tells an object of Python, simclr._train's _Host. What its methods raise, and Ctrl-C, stops the run;
/// raise_what_came() raises it once the run has ended. Made and destroyed with the interpreter's lock, and called
/// without it.
class PythonHost final : public Host {
 public:
  explicit PythonHost(nb::handle host)
      : host_(host),
        prints_(nb::cast<bool>(host.attr("prints"))),
        listens_(nb::cast<bool>(host.attr("listens"))),
        terminal_(nb::cast<bool>(host.attr("terminal"))) {}

  void print(const std::string& text) override {
    if (prints_) call("print", text);
  }
  bool is_terminal() const override { return terminal_; }
  void warn(const std::string& text) override { call("warn", text); }
  void folder(const std::string& path) override { folder_ = path; }
  void logged(const std::string& entry) override {
    if (listens_ && !came_) call("logged", entry);
  }
  bool stop() override {
    if (asked_.exchange(false)) return true;
    if (std::this_thread::get_id() != caller_ || Clock::now() < next_) return false;  // as signals() has it
    const nb::gil_scoped_acquire locked;
    next_ = Clock::now() + std::chrono::milliseconds(100);
    if (PyErr_CheckSignals() == 0) return false;
    keep(std::make_exception_ptr(nb::python_error()));
    return true;
  }

  /// What Python raised elsewhere, in a sample's code, and that is to stop the run; `again`: also where another thing
  /// stops it already. With the interpreter's lock.
  void stop_for(const std::exception_ptr& thrown, bool again = false) {
    if (keep(thrown) || again) asked_ = true;
  }
  /// Empty before the run begins.
  const std::string& folder() const { return folder_; }
  void raise_what_came() const {
    if (came_) std::rethrow_exception(thrown_);
  }

 private:
  using Clock = std::chrono::steady_clock;

  void call(const char* method, const std::string& text) {
    const nb::gil_scoped_acquire locked;
    try {
      host_.attr(method)(bytes_of(text));
    } catch (const nb::python_error&) {
      stop_for(std::current_exception());
    }
  }

  /// The first is what counts. With the interpreter's lock.
  bool keep(const std::exception_ptr& thrown) {
    if (came_) return false;
    thrown_ = thrown;
    came_ = true;
    return true;
  }

  nb::handle host_;  // which the caller keeps
  bool prints_, listens_, terminal_;
  std::string folder_;
  const std::thread::id caller_ = std::this_thread::get_id();
  Clock::time_point next_;
  std::exception_ptr thrown_;
  std::atomic<bool> came_{false}, asked_{false};
};

/// The kind of data of a training program.
std::unique_ptr<Modality> modality_of(const std::string& program);
/// The same of samples in memory, a simclr._fit._Samples that the caller keeps: no place is looked at. `host` outlives
/// it. Throws Error for a program whose samples cannot be in memory.
std::unique_ptr<Modality> modality_of_samples(const std::string& program, nb::handle samples, PythonHost& host);

}  // namespace simclr::python
