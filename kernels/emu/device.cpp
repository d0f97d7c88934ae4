#include <simclr/core/error.h>
#include <simclr/kernels/emu/device.h>
#include <simclr/kernels/emu/memory.h>
#include <simclr/kernels/emu/run.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <vector>

namespace simclr::emu {

std::uint64_t launches = 0;

namespace {

constexpr unsigned thread_limit = 1024;

Checks level = Checks::once;

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
