// libsimclr_mpi.so: MPI by the calls of core/mpi_functions.h. Nothing but bytes goes through it: MPI's own sums of
// floating-point numbers have no fixed order.
#include <simclr/core/export.h>
#include <simclr/core/mpi_functions.h>

#include <mpi.h>

namespace {

int rank_of(MPI_Comm ranks) {
  int rank = 0;
  MPI_Comm_rank(ranks, &rank);
  return rank;
}

int size_of(MPI_Comm ranks) {
  int size = 1;
  MPI_Comm_size(ranks, &size);
  return size;
}

simclr::Place start() {
  int provided = 0;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
  MPI_Comm local;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &local);
  const simclr::Place place = {rank_of(MPI_COMM_WORLD), size_of(MPI_COMM_WORLD), rank_of(local), size_of(local)};
  MPI_Comm_free(&local);
  return place;
}

void all_to_all(const void* from, void* to, int bytes) {
  MPI_Alltoall(from, bytes, MPI_BYTE, to, bytes, MPI_BYTE, MPI_COMM_WORLD);
}

void all_gather(const void* from, void* to, int bytes) {
  const char* own = static_cast<char*>(to) + static_cast<long>(rank_of(MPI_COMM_WORLD)) * bytes;
  MPI_Allgather(from == own ? MPI_IN_PLACE : from, bytes, MPI_BYTE, to, bytes, MPI_BYTE, MPI_COMM_WORLD);
}

void broadcast(void* data, int bytes, int from) {
  MPI_Bcast(data, bytes, MPI_BYTE, from, MPI_COMM_WORLD);
}

void abort_all(int code) {
  MPI_Abort(MPI_COMM_WORLD, code);
}

void finish() {
  MPI_Finalize();
}

constexpr simclr::MpiFunctions functions = {
    SIMCLR_LOADED_VERSION, start, all_to_all, all_gather, broadcast, abort_all, finish};

}  // namespace

extern "C" SIMCLR_API const void* simclr_mpi_functions() {
  return &functions;
}
