// The run that mpirun or srun has started this process in.
#include <simclr/core/host_world.h>
#include <simclr/core/loaded_library.h>
#include <simclr/core/mpi_functions.h>
#include <simclr/core/nccl_world.h>
#include <simclr/core/runtime.h>
#include <simclr/core/watchdog.h>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

namespace simclr {
namespace {

constexpr LoadedLibrary library = {
    .file = "libsimclr_mpi.so",
    .symbol = mpi_symbol,
    .global = true,
    .need = "mpi: this process is one of several, which need ",
    .unloadable = "install or load the MPI that it was built with, or start one process",
    .missing = "install libsimclr-mpi or build libsimclr with MPI (Debian: libopenmpi-dev), or start one process"};

/// How many processes this one was started with, itself included, as their engine says; 0: it does not say.
int started_together() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    if (const char* value = std::getenv(name)) return std::max(std::atoi(value), 1);
  }
  return std::getenv("PMIX_RANK") != nullptr ? 0 : 1;
}

class MpiTransport final : public Transport {
 public:
  MpiTransport(const MpiFunctions& mpi, const Place& place, std::chrono::milliseconds timeout)
      : mpi_(mpi),
        who_("rank " + std::to_string(place.rank) + " of " + std::to_string(place.size)),
        watchdog_(who_, timeout),
        exceptions_(std::uncaught_exceptions()) {}

  /// MPI lets nobody leave before all want to. Whom an exception takes out of here says what it is and ends, and then
  /// asks the engine to end the others: not every engine does so by itself.
  ~MpiTransport() override {
    if (std::uncaught_exceptions() > exceptions_) {
      static void (*abort_all)(int) = mpi_.abort;
      std::atexit([] {
        std::fflush(nullptr);
        abort_all(EXIT_FAILURE);
      });
      return;
    }
    watchdog_.watch("the end of the run", [&] { mpi_.finish(); });
  }

  void all_to_all(const std::byte* from, std::byte* to, std::size_t bytes) override {
    watchdog_.watch("all_to_all", [&] { mpi_.all_to_all(from, to, static_cast<int>(bytes)); });
  }
  void all_gather(const std::byte* from, std::byte* to, std::size_t bytes) override {
    watchdog_.watch("all_gather", [&] { mpi_.all_gather(from, to, static_cast<int>(bytes)); });
  }
  void broadcast(std::byte* data, std::size_t bytes, int from) override {
    watchdog_.watch("broadcast", [&] { mpi_.broadcast(data, static_cast<int>(bytes), from); });
  }
  void set_timeout(std::chrono::milliseconds timeout) override { watchdog_.set_timeout(timeout); }
  void fail(const std::string& why) override {
    const std::string line = who_ + ": " + why + "\n";
    [[maybe_unused]] const auto written = write(STDERR_FILENO, line.data(), line.size());
    mpi_.abort(EXIT_FAILURE);
  }

 private:
  const MpiFunctions& mpi_;
  std::string who_;
  Watchdog watchdog_;
  int exceptions_;
};

/// Whether this process can take a GPU; no GPU is opened.
void check_gpu(Device device) {
  if (!device_problem(device.type).empty()) Context::of(device);  // says why
  require_no_number(device);
}

}  // namespace

std::unique_ptr<World> make_world(Device device, std::chrono::milliseconds timeout) {
  const int processes = started_together();
  if (processes == 1) return std::make_unique<World>();
  const bool gpus = device.type == DeviceType::cuda;
  if (gpus) check_gpu(device);
  const auto& mpi = load_functions<MpiFunctions>(library);
  const NcclFunctions* const nccl = gpus ? &load_nccl() : nullptr;
  Place place;
  {
    Watchdog watchdog("process " + std::to_string(getpid()), timeout);
    watchdog.watch("the start of the run", [&] { place = mpi.start(); });
  }
  SIMCLR_CHECK(
      place.size > 1 || processes == 0, "mpi: of ", processes,
      " processes that were started this one knows itself alone; start them by srun --mpi=pmix, or by the mpirun of "
      "the MPI that libsimclr was built with");
  auto transport = std::make_unique<MpiTransport>(mpi, place, timeout);
  if (gpus && place.size > 1) {
    return std::make_unique<NcclWorld>(place, std::move(transport), *nccl, device, timeout);
  }
  auto world = std::make_unique<HostWorld>(place, std::move(transport));
  require_same(*world, "device", name(device.type));
  return world;
}

}  // namespace simclr
