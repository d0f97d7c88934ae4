#pragma once

// Streams without a GPU: work that is queued runs later, in one of the orders that the streams' events leave open. What
// is too early under CUDA by bad luck is so here for some seed.

#include <simclr/core/export.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace simclr::emu {

class SIMCLR_API Streams {
 public:
  /// Passes when its last record does.
  class Event {
    friend class Streams;
    std::shared_ptr<bool> passed_ = std::make_shared<bool>(true);
  };

  /// With seed 0 nothing runs until somebody waits for it; with others some work runs at every call, drawn by the seed.
  explicit Streams(int count, std::uint64_t seed = 0);

  void queue(int stream, std::function<void()> work);
  void record(Event& event, int stream);
  void wait(int stream, const Event& event);
  /// Runs what has to run before the event has passed.
  void host_wait(const Event& event);
  bool passed(const Event& event) const;
  /// Runs all that can run in one stream while the others stand still.
  void run(int stream);
  /// Runs everything.
  void finish();

 private:
  struct Work {
    std::shared_ptr<bool> after;  // null: nothing to wait for
    std::function<void()> run;
  };

  bool step(int stream);
  void some_steps();

  mutable std::mutex mutex_;
  std::vector<std::deque<Work>> streams_;
  std::uint64_t seed_;
  std::uint32_t drawn_ = 0;
};

}  // namespace simclr::emu
