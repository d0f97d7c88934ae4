// The run that mpirun or srun has started this process in. libsimclr_mpi.so is looked for beside the library and the
// program, then where the system looks for libraries.
#include <simclr/core/host_world.h>
#include <simclr/core/mpi_functions.h>
#include <simclr/core/watchdog.h>

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

namespace simclr {
namespace {

namespace fs = std::filesystem;

constexpr const char* library = "libsimclr_mpi.so";

/// How many processes this one was started with, itself included, as their engine says; 0: it does not say.
int started_together() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    if (const char* value = std::getenv(name)) return std::max(std::atoi(value), 1);
  }
  return std::getenv("PMIX_RANK") != nullptr ? 0 : 1;
}

/// Where the library may lie: beside the file that holds this function, or the program; `lib` is how both are installed
/// and built.
std::vector<fs::path> places() {
  std::vector<fs::path> found;
  std::error_code none;
  Dl_info info{};
  const fs::path own = dladdr(reinterpret_cast<void*>(&started_together), &info) != 0 ? info.dli_fname : "";
  for (const fs::path& file : {fs::weakly_canonical(own, none), fs::read_symlink("/proc/self/exe", none)}) {
    const fs::path folder = file.parent_path();
    for (const fs::path& place : {folder / library, folder / "lib" / library, folder.parent_path() / "lib" / library}) {
      if (std::find(found.begin(), found.end(), place) == found.end()) found.push_back(place);
    }
  }
  return found;
}

/// Null where it cannot be loaded; dlerror() says why.
void* opened(const fs::path& file) {
  return dlopen(file.c_str(), RTLD_NOW | RTLD_GLOBAL);  // MPI's own plugins want to see it: global
}

const MpiFunctions& functions_of(void* handle, const fs::path& file) {
  const auto symbol = reinterpret_cast<MpiSymbol>(dlsym(handle, mpi_symbol));
  SIMCLR_CHECK(symbol != nullptr, "mpi: ", file.string(), " is not libsimclr's; remove it");
  const MpiFunctions& functions = *symbol();
  SIMCLR_CHECK(std::string(functions.version) == SIMCLR_MPI_VERSION, "mpi: ", file.string(), " is of libsimclr ",
               functions.version, ", this is ", SIMCLR_MPI_VERSION, "; install both anew");
  return functions;
}

const MpiFunctions& load() {
  constexpr const char* need = "mpi: this process is one of several, which need ";
  std::string problem, looked;
  std::error_code none;
  for (const fs::path& place : places()) {
    if (!fs::exists(place, none)) {
      looked += place.parent_path().string() + ", ";
    } else if (void* const handle = opened(place)) {
      return functions_of(handle, place);
    } else if (problem.empty()) {
      problem = dlerror();
      problem = place.string() + " is there, but cannot be loaded: " + problem;
    }
  }
  if (void* const handle = opened(library)) return functions_of(handle, library);
  SIMCLR_CHECK(problem.empty(), need, library, ": ", problem,
               "; install or load the MPI that it was built with, or start one process");
  fail(need, library, " (not in ", looked, "nor on LD_LIBRARY_PATH or where the system looks: ", dlerror(),
       "); build libsimclr with MPI (Debian: libopenmpi-dev), or start one process");
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

}  // namespace

std::unique_ptr<World> make_world(Device device, std::chrono::milliseconds timeout) {
  const int processes = started_together();
  if (processes == 1) return std::make_unique<World>();
  SIMCLR_CHECK(is_host_memory(device), device,
               ": several processes train on the CPU alone; take it (--device cpu), or start one process");
  const MpiFunctions& mpi = load();
  Place place;
  {
    Watchdog watchdog("process " + std::to_string(getpid()), timeout);
    watchdog.watch("the start of the run", [&] { place = mpi.start(); });
  }
  SIMCLR_CHECK(
      place.size > 1 || processes == 0, "mpi: of ", processes,
      " processes that were started this one knows itself alone; start them by srun --mpi=pmix, or by the mpirun of "
      "the MPI that libsimclr was built with");
  return std::make_unique<HostWorld>(place, std::make_unique<MpiTransport>(mpi, place, timeout));
}

}  // namespace simclr
