#pragma once

// The emulated device's side of kernels/cuda/warpgroup.h: barriers that count arrivals and bytes, bulk copies, and the
// products of a warpgroup. Each is done when it is waited for, copies under the schedules `backward` and `random` at
// once: a result that is read too soon shows, and a tile that is overwritten too soon. A product that starts before its
// tile has come does not, where the tile is there at the wait.

#include <simclr/kernels/emu/device.h>

#include <cstddef>
#include <cstdint>

namespace simclr::emu {

inline constexpr unsigned warpgroup_size = 128;

SIMCLR_API void barrier_init(const void* barrier, unsigned arrivals, const Site& site);
/// One arrival; `bytes` more must be copied before the phase ends.
SIMCLR_API void barrier_arrive(const void* barrier, std::uint32_t bytes, const Site& site);
/// Waits until the phase of this parity has ended.
SIMCLR_API void barrier_wait(const void* barrier, unsigned parity, const Site& site);
SIMCLR_API void copy_bulk(void* to, const void* from, std::uint32_t bytes, const void* barrier, const Site& site);

/// A matrix of bf16 in shared memory as a warpgroup reads it: rows of 64 values, whose pieces of 16 bytes are permuted
/// by bits 7 to 9 of their address (the swizzle of 128 bytes).
struct SharedMatrix {
  const std::byte* start;
  std::uint32_t leading, stride;  // bytes
};

/// d [64,columns] (+)= a [64,16] b [16,columns], as the lanes of a warpgroup hold d and, unless it is shared, a.
struct WarpgroupProduct {
  float* d;  // columns / 2 values a thread
  int columns;
  const std::uint32_t* a_words;  // 4 a thread; null: a is shared
  SharedMatrix a, b;
  bool b_transposed;  // b's rows lie in memory, not its columns
  bool accumulate;
  int group = 0;
};
SIMCLR_API void warpgroup_product(const WarpgroupProduct& product);
SIMCLR_API void warpgroup_commit();
SIMCLR_API void warpgroup_wait(int groups_left, const Site& site);

}  // namespace simclr::emu
