#pragma once

// The emulated device: what launches a kernel's source on the CPU, one block at a time, a fiber for each thread that
// has to wait. It runs a kernel as CUDA promises to, no better: threads advance in an order that the schedule picks, a
// warp has no lockstep, shared memory starts as garbage. Faults end the launch with an Error that names the kernel.

#include <simclr/core/context.h>
#include <simclr/core/graph.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <source_location>
#include <string>

namespace simclr::emu {

using Site = std::source_location;

struct Index3 {
  unsigned x = 0, y = 0, z = 0;
};

struct Extent3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr Extent3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

inline constexpr unsigned warp_size = 32;

/// In which order the threads of a block go on.
enum class Schedule { forward, backward, random };

/// Whether a launch runs once, forward, or four times from the same memory: forward with two fillings of shared
/// memory, backward, and in a random order. All four must leave the same bits everywhere.
enum class Checks { once, thorough };
SIMCLR_API Checks checks();
SIMCLR_API void set_checks(Checks checks);

/// Names of the kernels that ran since the start, with the schedules they ran under: "relu_kernel forward".
SIMCLR_API const std::set<std::string>& executed();

/// Launches since the start; a thorough one counts once.
SIMCLR_API extern std::uint64_t launches;

// What kernels/emu/language.h is made of.

/// The running thread, as the kernel sees it.
struct Self {
  Index3 thread, block;
  Extent3 block_size, grid_size;
};
SIMCLR_API extern Self self;

SIMCLR_API void sync_threads(const Site& site);

/// A rendezvous of the lanes in `mask`: each hands in `operand`, the last one to come calls `resolve` with all of them
/// (null for lanes outside the mask), and then all go on.
using Resolve = void (*)(void* const* operands);
SIMCLR_API void collective(std::uint32_t mask, const Site& site, Resolve resolve, void* operand);

/// The block's shared memory of one declaration, guarded at both ends; `key` names the declaration.
SIMCLR_API void* shared(const void* key, std::size_t bytes);
SIMCLR_API void* dynamic_shared();

/// Asynchronous copies: they happen at the wait, no earlier.
SIMCLR_API void copy_async(void* to, const void* from, std::size_t bytes);
SIMCLR_API void copy_async_commit();
SIMCLR_API void copy_async_wait(int groups_left);

// What further ways to wait are made of (kernels/emu/warpgroup.h).

/// Which block of which run is on, and which of its threads.
struct BlockRun {
  std::uint64_t number;  // of all blocks ever run
  Schedule schedule;
  unsigned thread, threads;
};
SIMCLR_API BlockRun block_run();
/// The running thread will wait at its next pause() until somebody wakes it; `waits_for` is for the message where
/// nobody does: "for its block".
SIMCLR_API void wait(const Site& site, const char* waits_for);
SIMCLR_API void wake(unsigned thread);
SIMCLR_API void pause();

/// Ends the launch with an Error: kernel, block, thread, and `what`.
[[noreturn]] SIMCLR_API void report(const std::string& what, const Site& site = Site::current());

struct LaunchShape {
  const char* kernel;
  Extent3 grid, block;
  std::size_t dynamic_shared = 0;
};
SIMCLR_API void launch(const LaunchShape& shape, const std::function<void()>& kernel);

// Captured steps.

/// Whether this thread captures a step.
SIMCLR_API bool capturing();
/// Runs `work`, or keeps it for the replays of the step that is captured. It must own what it needs but device memory.
SIMCLR_API void queue(std::function<void()> work);
SIMCLR_API std::unique_ptr<CapturedStep::Graph> capture(const std::function<void()>& step);

// Memory.

/// Blocks stand between guard zones and start as NaN, those of a captured step at each replay. Every launch checks the
/// guards of all blocks.
SIMCLR_API std::shared_ptr<Allocator> make_allocator();

}  // namespace simclr::emu
