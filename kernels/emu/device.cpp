#include <simclr/core/error.h>
#include <simclr/core/random.h>
#include <simclr/kernels/emu/device.h>
#include <simclr/kernels/emu/fiber.h>
#include <simclr/kernels/emu/memory.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <mutex>
#include <vector>

namespace simclr::emu {

Self self;
std::uint64_t launches = 0;

namespace {

constexpr std::size_t shared_limit = std::size_t{227} << 10;  // what a block may have on sm_90
constexpr std::size_t shared_alignment = 128;
constexpr unsigned thread_limit = 1024;

Checks level = Checks::once;
std::uint64_t blocks_run = 0;

const char* name(Schedule schedule) {
  switch (schedule) {
    case Schedule::forward: return "forward";
    case Schedule::backward: return "backward";
    case Schedule::random: return "random";
  }
  return "?";
}

/// The names of what ran; written at the end to the file that SIMCLR_EMU_EXECUTED names, for the test that counts.
struct Executed {
  std::set<std::string> names;
  ~Executed() {
    if (const char* path = std::getenv("SIMCLR_EMU_EXECUTED")) {
      std::ofstream out(path);
      for (const std::string& line : names) out << line << '\n';
    }
  }
};

Executed& execution_log() {
  static Executed log;
  return log;
}

std::string text(const Site& site) {
  const std::string path = site.file_name();
  return path.substr(path.find_last_of('/') + 1) + ":" + std::to_string(site.line());
}

bool same(const Site& a, const Site& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

/// Thrown on a fiber to leave the kernel; the message is in the block.
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
  Run(const LaunchShape& shape, const std::function<void()>& kernel, Schedule schedule, std::byte fill)
      : shape_(shape),
        kernel_(kernel),
        schedule_(schedule),
        fill_(fill),
        arena_(shared_limit + (std::size_t{64} << 10)) {}

  ~Run() { clear_guard(arena_.data(), arena_.size()); }

  void all_blocks() {
    self.block_size = shape_.block;
    self.grid_size = shape_.grid;
    for (unsigned z = 0; z < shape_.grid.z; ++z) {
      for (unsigned y = 0; y < shape_.grid.y; ++y) {
        for (unsigned x = 0; x < shape_.grid.x; ++x) {
          self.block = {x, y, z};
          block();
        }
      }
    }
  }

  // Called on fibers.

  void work() {
    try {
      kernel_();
      if (!current_->copies.empty()) report("an asynchronous copy was never waited for", Site::current());
    } catch (const Abandon&) {
    } catch (const std::exception& error) {
      if (message_.empty()) message_ = error.what();
    }
    current_->state = Thread::State::finished;
  }

  void sync_threads(const Site& site) {
    if (!at_barrier_.empty() && !same(threads_[at_barrier_[0]].site, site)) {  // the others are where the first is
      report("divergent barrier: thread " + std::to_string(at_barrier_[0]) + " waits in __syncthreads at " +
                 text(threads_[at_barrier_[0]].site) + ", this one at " + text(site),
             site);
    }
    at_barrier_.push_back(current_id_);
    wait(site, "for its block");
    if (at_barrier_.size() == threads_.size()) {
      for (const unsigned id : at_barrier_) wake(id);
      at_barrier_.clear();
    }
    pause();
  }

  void collective(std::uint32_t mask, const Site& site, Resolve resolve, void* operand) {
    const unsigned warp = current_id_ / warp_size, lane = current_id_ % warp_size;
    const auto lanes = std::min<std::size_t>(warp_size, threads_.size() - warp * warp_size);
    const std::uint32_t present = lanes == warp_size ? 0xffffffffu : (1u << lanes) - 1;
    if ((mask >> lane & 1u) == 0) report("a lane is not in the mask that it names", site);
    if ((mask & ~present) != 0 && mask != 0xffffffffu) report("a mask names lanes that the block does not have", site);
    mask &= present;

    auto& waiting = rendezvous_[warp];
    auto found =
        std::find_if(waiting.begin(), waiting.end(), [&](const Rendezvous& r) { return (r.mask & mask) != 0; });
    if (found == waiting.end()) {
      found = waiting.insert(waiting.end(), Rendezvous{mask, 0, site, resolve, {}});
    } else if (found->mask != mask || found->resolve != resolve || !same(found->site, site)) {
      report("divergent warp: lanes of one warp wait for each other at " + text(found->site) + " and at " + text(site),
             site);
    }
    found->arrived |= 1u << lane;
    found->operands[lane] = operand;
    wait(site, "for lanes of its warp");
    if (found->arrived == mask) {
      found->resolve(found->operands);
      for (unsigned l = 0; l < warp_size; ++l) {
        if ((mask >> l & 1u) != 0) wake(warp * warp_size + l);
      }
      waiting.erase(found);
    }
    pause();
  }

  /// The running thread is about to pause; `wake` lets it go on.
  void wait(const Site& site, const char* waits_for) {
    current_->state = Thread::State::waiting;
    current_->site = site;
    current_->waits_for = waits_for;
  }

  void wake(unsigned id) {
    threads_[id].state = Thread::State::ready;
    ready_.push_back(id);
  }

  void pause() {
    Thread& thread = *current_;
    thread.fiber->pause();
    if (!message_.empty()) throw Abandon();
  }

  void* shared(const void* key, std::size_t bytes) {
    for (const SharedArray& array : arrays_) {
      if (array.key == key) return array.data;
    }
    std::byte* data =
        reinterpret_cast<std::byte*>((reinterpret_cast<std::uintptr_t>(next_) + guard_bytes + shared_alignment - 1) /
                                     shared_alignment * shared_alignment);
    shared_bytes_ += bytes;
    if (shared_bytes_ > shared_limit || data + bytes + guard_bytes > arena_.data() + arena_.size()) {
      report("more shared memory than the " + std::to_string(shared_limit) + " bytes that a block may have");
    }
    set_guard(next_, static_cast<std::size_t>(data - next_));
    clear_guard(data, bytes);
    std::memset(data, static_cast<int>(fill_), bytes);
    set_guard(data + bytes);
    arrays_.push_back({key, data, bytes});
    next_ = data + bytes + guard_bytes;
    return data;
  }

  void* dynamic_shared() { return shared(nullptr, shape_.dynamic_shared); }

  Thread& current() { return *current_; }
  unsigned current_id() const { return current_id_; }
  std::size_t threads() const { return threads_.size(); }
  Schedule schedule() const { return schedule_; }

  [[noreturn]] void report(const std::string& what, const Site& site = Site::current()) {
    if (message_.empty()) {
      message_ = what + " (block " + std::to_string(self.block.x) + "," + std::to_string(self.block.y) + "," +
                 std::to_string(self.block.z) + ", thread " + std::to_string(current_id_) + ", " + text(site) + ")";
    }
    throw Abandon();
  }

 private:
  void block() {
    ++blocks_run;
    const unsigned count = shape_.block.x * shape_.block.y * shape_.block.z;
    threads_.assign(count, {});
    rendezvous_.assign((count + warp_size - 1) / warp_size, {});
    at_barrier_.clear();
    arrays_.clear();
    next_ = arena_.data();
    shared_bytes_ = 0;
    ready_.clear();
    for (unsigned id = 0; id < count; ++id) {
      threads_[id].index = {id % shape_.block.x, id / shape_.block.x % shape_.block.y,
                            id / (shape_.block.x * shape_.block.y)};
      ready_.push_back(id);
    }
    while (!ready_.empty() && message_.empty()) {
      std::vector<unsigned> now = std::move(ready_);
      ready_.clear();
      order(now);
      for (const unsigned id : now) {
        resume(id);
        if (!message_.empty()) break;
      }
    }
    if (message_.empty()) check_finished();
    for (Thread& thread : threads_) {
      if (thread.fiber == nullptr) continue;
      thread.fiber->reset();  // it was abandoned in the middle
      free_fibers().push_back(thread.fiber);
    }
    if (message_.empty()) check_guards();
    SIMCLR_CHECK(message_.empty(), "emu: ", shape_.kernel, ": ", message_);
  }

  void order(std::vector<unsigned>& ids) {
    std::sort(ids.begin(), ids.end());
    if (schedule_ == Schedule::backward) std::reverse(ids.begin(), ids.end());
    if (schedule_ == Schedule::random) {
      const Random random(0, RandomPurpose::user, round_++);
      for (auto i = static_cast<std::uint32_t>(ids.size()); i > 1; --i) std::swap(ids[i - 1], ids[random.below(i, i)]);
    }
  }

  void resume(unsigned id) {
    Thread& thread = threads_[id];
    current_ = &thread;
    current_id_ = id;
    self.thread = thread.index;
    if (thread.fiber == nullptr) {
      auto& free = free_fibers();
      if (free.empty()) {
        thread.fiber = new Fiber(run_current);  // kept for ever: stacks are reused by all launches
      } else {
        thread.fiber = free.back();
        free.pop_back();
      }
      thread.state = Thread::State::ready;
    }
    thread.fiber->resume();
    if (thread.state == Thread::State::finished) {
      free_fibers().push_back(thread.fiber);
      thread.fiber = nullptr;
    }
  }

  /// Nobody can go on: all have finished, or some wait for what will not come.
  void check_finished() {
    const auto stuck = std::find_if(threads_.begin(), threads_.end(),
                                    [](const Thread& t) { return t.state != Thread::State::finished; });
    if (stuck == threads_.end()) return;
    const auto id = static_cast<unsigned>(stuck - threads_.begin());
    const auto finished = std::count_if(threads_.begin(), threads_.end(),
                                        [](const Thread& t) { return t.state == Thread::State::finished; });
    message_ = std::string("divergent barrier: thread ") + std::to_string(id) + " waits for ever at " +
               text(stuck->site) + " " + stuck->waits_for + "; " + std::to_string(finished) + " of " +
               std::to_string(threads_.size()) + " threads have left the kernel";
  }

  void check_guards() {
    for (const SharedArray& array : arrays_) {
      for (std::byte* zone : {array.data - guard_bytes, array.data + array.bytes}) {
        const std::ptrdiff_t at = broken_guard(zone);
        if (at < 0) continue;
        message_ = "wrote out of bounds, to byte " + std::to_string(zone + at - array.data) + " of " +
                   std::to_string(array.bytes) + " bytes of shared memory";
        return;
      }
    }
  }

  static void run_current();

  static std::vector<Fiber*>& free_fibers() {
    static auto* fibers = new std::vector<Fiber*>;
    return *fibers;
  }

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

Run* running = nullptr;

void Run::run_current() {
  running->work();
}

void run_once(const LaunchShape& shape, const std::function<void()>& kernel, Schedule schedule, std::byte fill) {
  execution_log().names.insert(std::string(shape.kernel) + " " + name(schedule));
  Run run(shape, kernel, schedule, fill);
  running = &run;
  try {
    run.all_blocks();
  } catch (...) {
    running = nullptr;
    throw;
  }
  running = nullptr;
  const std::string damage = damaged_block();
  SIMCLR_CHECK(damage.empty(), "emu: ", shape.kernel, ": ", damage);
}

}  // namespace

Checks checks() {
  return level;
}

void set_checks(Checks checks) {
  level = checks;
}

const std::set<std::string>& executed() {
  return execution_log().names;
}

void sync_threads(const Site& site) {
  running->sync_threads(site);
}

void collective(std::uint32_t mask, const Site& site, Resolve resolve, void* operand) {
  running->collective(mask, site, resolve, operand);
}

void* shared(const void* key, std::size_t bytes) {
  return running->shared(key, bytes);
}

void* dynamic_shared() {
  return running->dynamic_shared();
}

void copy_async(void* to, const void* from, std::size_t bytes) {
  Thread& thread = running->current();
  thread.copies.push_back({to, from, bytes, thread.copy_groups});
}

void copy_async_commit() {
  ++running->current().copy_groups;
}

void copy_async_wait(int groups_left) {
  Thread& thread = running->current();
  std::erase_if(thread.copies, [&](const PendingCopy& copy) {
    if (copy.group >= thread.copy_groups - groups_left) return false;
    std::memcpy(copy.to, copy.from, copy.bytes);
    return true;
  });
}

void report(const std::string& what, const Site& site) {
  running->report(what, site);
}

BlockRun block_run() {
  return {blocks_run, running->schedule(), running->current_id(), static_cast<unsigned>(running->threads())};
}

void wait(const Site& site, const char* waits_for) {
  running->wait(site, waits_for);
}

void wake(unsigned thread) {
  running->wake(thread);
}

void pause() {
  running->pause();
}

void launch(const LaunchShape& shape, const std::function<void()>& kernel) {
  const std::uint64_t threads = std::uint64_t{shape.block.x} * shape.block.y * shape.block.z;
  SIMCLR_CHECK(threads >= 1 && threads <= thread_limit && shape.grid.x >= 1 && shape.grid.y >= 1 && shape.grid.z >= 1 &&
                   shape.grid.y < 65536 && shape.grid.z < 65536,
               "emu: ", shape.kernel, ": ", shape.grid.x, " x ", shape.grid.y, " x ", shape.grid.z, " blocks of ",
               threads, " threads cannot be launched");
  if (capturing()) return queue([shape, kernel] { launch(shape, kernel); });
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  ++launches;
  constexpr std::byte nan_fill{0xff}, other_fill{0x3e};
  if (level == Checks::once) {
    run_once(shape, kernel, Schedule::forward, nan_fill);
    return;
  }
  const Snapshot before;
  run_once(shape, kernel, Schedule::forward, nan_fill);
  const Snapshot after;
  const auto again = [&](Schedule schedule, std::byte fill, const char* fault) {
    before.restore();
    run_once(shape, kernel, schedule, fill);
    const std::string difference = after.difference();
    SIMCLR_CHECK(difference.empty(), "emu: ", shape.kernel, ": ", fault, ": ", difference, " of global memory differs");
  };
  again(Schedule::forward, other_fill, "reads shared memory that nobody has written");
  again(Schedule::backward, nan_fill, "depends on the order of its threads, a barrier is missing (backward)");
  again(Schedule::random, nan_fill, "depends on the order of its threads, a barrier is missing (random)");
}

}  // namespace simclr::emu
