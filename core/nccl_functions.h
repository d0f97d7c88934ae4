#pragma once

// Private to core: what libsimclr_nccl.so gives the library, which loads it where a run has several processes on GPUs.
// It is built of core/nccl/ alone, so that neither the library nor a program that links it needs NCCL.

#include <simclr/core/dtype.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace simclr {

/// What the processes of one communicator know it by.
using NcclId = std::array<std::uint8_t, 128>;

/// One communicator a process, on one GPU. Texts say what has gone wrong, and are empty where nothing has. `stream` is
/// a cudaStream_t of that GPU, in which the collectives are queued; they return when they are.
struct NcclFunctions {
  const char* version;    // the project's, which must be the library's own
  int (*nccl_version)();  // as NCCL codes it: 22809 is 2.28.9
  /// The GPU's address on its machine, as 0000:17:00.0.
  std::string (*address)(int gpu, std::string& text);
  std::string (*make_id)(NcclId& id);
  /// Joins the others, which have the same id. Called once.
  std::string (*start)(const NcclId& id, int rank, int size, int gpu);
  std::string (*all_reduce)(void* x, std::size_t count, DType dtype, void* stream);
  std::string (*all_gather)(const void* x, void* all, std::size_t bytes, void* stream);
  /// `count` of x.
  std::string (*reduce_scatter)(const void* all, void* x, std::size_t count, DType dtype, void* stream);
  std::string (*broadcast)(void* x, std::size_t bytes, int from, void* stream);
  /// all_reduce() of what is queued in `stream` before, beside what follows there until join() or another collective.
  std::string (*start_all_reduce)(void* x, std::size_t count, DType dtype, void* stream);
  std::string (*join)(void* stream);
  /// The watchdog asks these two, in its own thread: what has gone wrong with the communicator meanwhile, and the
  /// number of the last collective, where the GPU is not through with it; else 0. Those of a captured step do not
  /// count.
  std::string (*problem)();
  std::uint64_t (*unfinished)();
  /// Leaves the run, once all are ready to. Captured steps with collectives go before: NCCL waits for them.
  std::string (*finish)();
};

/// The name of the one function that libsimclr_nccl.so exports, which gives this.
inline constexpr const char* nccl_symbol = "simclr_nccl_functions";

}  // namespace simclr
