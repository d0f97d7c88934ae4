#pragma once

// Private to the emulated device: one run of a launch. Blocks run one after the other; a block's threads are fibers
// that go on in the order of a schedule until all have finished, or none can.

#include <simclr/kernels/emu/device.h>
#include <simclr/kernels/emu/fiber.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace simclr::emu {

/// Thrown on a fiber to leave the kernel; the message is in the Run.
struct Abandon {};

struct PendingCopy {
  void* to;
  const void* from;
  std::size_t bytes;
  int group;
};

struct Thread {
  enum class State { fresh, ready, waiting, finished };

  Index3 index;
  State state = State::fresh;
  Fiber* fiber = nullptr;
  Site site = {};              // where it waits
  const char* waits_for = "";  // in words
  std::vector<PendingCopy> copies = {};
  int copy_groups = 0;
};

/// Lanes that wait for each other.
struct Rendezvous {
  std::uint32_t mask, arrived;
  Site site;
  Resolve resolve;
  void* operands[warp_size];
};

struct SharedArray {
  const void* key;
  std::byte* data;
  std::size_t bytes;
};

/// One run of a launch's blocks, one after the other.
class Run {
 public:
  Run(const LaunchShape& shape, const std::function<void()>& kernel, Schedule schedule, std::byte fill);
  ~Run();
  void all_blocks();

  // Called on fibers.
  void work();
  void sync_threads(const Site& site);
  void collective(std::uint32_t mask, const Site& site, Resolve resolve, void* operand);

  /// The running thread is about to pause; `wake` lets it go on.
  void wait(const Site& site, const char* waits_for);
  void wake(unsigned id);
  void pause();
  void* shared(const void* key, std::size_t bytes);
  void* dynamic_shared() { return shared(nullptr, shape_.dynamic_shared); }

  Thread& current() { return *current_; }
  unsigned current_id() const { return current_id_; }
  std::size_t threads() const { return threads_.size(); }
  Schedule schedule() const { return schedule_; }
  [[noreturn]] void report(const std::string& what, const Site& site = Site::current());

 private:
  void block();
  void order(std::vector<unsigned>& ids);
  void resume(unsigned id);

  /// Nobody can go on: all have finished, or some wait for what will not come.
  void check_finished();
  void check_guards();
  static void run_current();
  static std::vector<Fiber*>& free_fibers();

  const LaunchShape& shape_;
  const std::function<void()>& kernel_;
  const Schedule schedule_;
  const std::byte fill_;
  std::string message_;

  std::vector<Thread> threads_;
  std::vector<unsigned> ready_;
  std::vector<unsigned> at_barrier_;
  std::vector<std::vector<Rendezvous>> rendezvous_;  // a warp each
  std::vector<std::byte> arena_;
  std::vector<SharedArray> arrays_;
  std::byte* next_ = nullptr;
  std::size_t shared_bytes_ = 0;
  Thread* current_ = nullptr;
  unsigned current_id_ = 0;
  std::uint32_t round_ = 0;
};

/// The run that is on; launches take turns.
extern Run* running;
/// Blocks ever run.
extern std::uint64_t blocks_run;

}  // namespace simclr::emu
