#pragma once

// Private to core: what libsimclr_mpi.so gives the library, which loads it where a run has several processes. It is
// built of core/mpi/ alone, so that neither the library nor a program that links it needs MPI.

#include <simclr/core/world.h>

namespace simclr {

/// The calls of core/host_world.h's Transport, `bytes` a rank. MPI itself ends all processes where one of them fails.
struct MpiFunctions {
  const char* version;  // the project's, which must be the library's own
  /// Joins the run. Called once.
  Place (*start)();
  void (*all_to_all)(const void* from, void* to, int bytes);
  void (*all_gather)(const void* from, void* to, int bytes);
  void (*broadcast)(void* data, int bytes, int from);
  /// Ends all processes, and does not return.
  void (*abort)(int code);
  /// Leaves the run, once all are ready to.
  void (*finish)();
};

/// The name of the one function that libsimclr_mpi.so exports, which gives this.
inline constexpr const char* mpi_symbol = "simclr_mpi_functions";

}  // namespace simclr
