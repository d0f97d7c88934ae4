#pragma once

// Private: how streams wait for each other, so that no copy reads or writes memory too early. Written over `Api`, the
// runtime's calls, so that the emulated device's streams can run the same lines in every order that CUDA may:
//
//   Stream, Event                      a stream; an event of one (a value that can be moved)
//   Event event(stream)                a new event, to be recorded in that stream
//   record(event, stream)              the event passes when what is queued until now is done
//   wait(stream, event)                what is queued from now on runs after the event's last record
//   host_wait(event)                   the host waits for it
//   copy(stream, to, from, bytes)      queues a copy
//   compute(), uploads()               the stream that kernels run in, the one for copies from the host
//   take_pinned(bytes)                 host memory that the device reads by itself
//   keep_pinned(block, bytes, event)   gives it back once the event has passed; never throws

#include <cstddef>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace simclr::cuda {

/// Queues a copy between two devices in the target's stream: after what the source's stream holds, which writes `from`,
/// and before what is queued there later, which may overwrite it or reuse its memory.
template <class Api>
void copy_between(Api& api, typename Api::Stream to_stream, void* to, typename Api::Stream from_stream,
                  const void* from, std::size_t bytes) {
  auto written = api.event(from_stream);
  api.record(written, from_stream);
  api.wait(to_stream, written);
  api.copy(to_stream, to, from, bytes);
  auto read = api.event(to_stream);
  api.record(read, to_stream);
  api.wait(from_stream, read);
}

/// Blocks that nobody uses any more but a copy that is under way. Thread-safe.
template <class Event>
class BlocksInFlight {
 public:
  void keep(void* block, std::size_t bytes, Event last_use) noexcept {
    const std::lock_guard lock(mutex_);
    try {
      kept_.push_back({block, bytes, std::move(last_use)});
    } catch (const std::bad_alloc&) {  // no room to remember it: nobody gets it again
    }
  }
  /// Calls release(block, bytes) for those whose event has passed.
  template <class Passed, class Release>
  void collect(const Passed& passed, const Release& release) {
    const std::lock_guard lock(mutex_);
    std::erase_if(kept_, [&](const Kept& kept) {
      if (!passed(kept.last_use)) return false;
      release(kept.block, kept.bytes);
      return true;
    });
  }

 private:
  struct Kept {
    void* block;
    std::size_t bytes;
    Event last_use;
  };
  std::mutex mutex_;
  std::vector<Kept> kept_;
};

/// Copies from the host to one block of device memory, again and again, beside the compute stream's work. Of that work
/// only what reads the block orders the copies: the next one starts once it was read, however much is queued behind.
///
///   host      fills the pinned block, once the copy before has left it
///   uploads   waits for the last read; copies; records `arrived_`
///   compute   waits for `arrived_`; reads; records `read_`
template <class Api>
class StagedCopy {
 public:
  StagedCopy(Api api, void* to, std::size_t bytes)
      : api_(std::move(api)),
        to_(to),
        bytes_(bytes),
        arrived_(api_.event(api_.uploads())),
        read_(api_.event(api_.compute())) {
    api_.record(read_, api_.compute());  // the block may be memory that queued work still uses
    pinned_ = api_.take_pinned(bytes);
  }
  /// The host does not wait: the block is the compute stream's again after the copy, and so is the pinned one later.
  ~StagedCopy() {
    try {
      if (started_) api_.wait(api_.compute(), arrived_);
    } catch (...) {  // the device has failed, and will not write either
    }
    api_.keep_pinned(pinned_, bytes_, std::move(arrived_));
  }
  StagedCopy(const StagedCopy&) = delete;
  StagedCopy& operator=(const StagedCopy&) = delete;

  /// Starts the copy of `from`, which may change when the call returns. The host waits only where the copy before has
  /// not been made yet.
  void start(const void* from) {
    if (started_) api_.host_wait(arrived_);
    std::memcpy(pinned_, from, bytes_);
    api_.wait(api_.uploads(), read_);
    api_.copy(api_.uploads(), to_, pinned_, bytes_);
    api_.record(arrived_, api_.uploads());
    started_ = true;
  }
  /// What is queued in the compute stream from now on runs after the copy's end.
  void arrive() { api_.wait(api_.compute(), arrived_); }
  /// What is queued in the compute stream until now has read the block; the next copy waits for no more.
  void read() { api_.record(read_, api_.compute()); }

 private:
  Api api_;
  void* to_;
  std::size_t bytes_;
  typename Api::Event arrived_, read_;
  void* pinned_ = nullptr;
  bool started_ = false;
};

}  // namespace simclr::cuda
