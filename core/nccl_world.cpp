#include <simclr/core/context.h>
#include <simclr/core/error.h>
#include <simclr/core/loaded_library.h>
#include <simclr/core/nccl_world.h>
#include <simclr/core/text.h>

#include <algorithm>
#include <exception>
#include <fstream>
#include <utility>

namespace simclr {
namespace {

constexpr LoadedLibrary library = {
    .file = "libsimclr_nccl.so",
    .symbol = nccl_symbol,
    .global = false,
    .need = "nccl: several processes on GPUs need ",
    .unloadable = "install the NCCL that it was built with, or train on the CPU (--device cpu)",
    .missing =
        "build libsimclr with NCCL (NVIDIA: libnccl-dev, PyPI: nvidia-nccl-cu13), or train on the CPU (--device "
        "cpu)"};

/// Throws Error where `problem` says anything.
void check(const char* what, const std::string& problem) {
  SIMCLR_CHECK(problem.empty(), "nccl: ", what, ": ", printable(problem, 400), "; NCCL_DEBUG=INFO tells more");
}

/// Which machine this is, whatever containers and hosts call it.
std::string machine() {
  std::string id;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), id);
  return id;
}

}  // namespace

const NcclFunctions& load_nccl() {
  return load_functions<NcclFunctions>(library);
}

void require_own_gpus(const std::vector<std::string>& gpus) {
  for (auto gpu = gpus.begin(); gpu != gpus.end(); ++gpu) {
    const auto first = std::find(gpus.begin(), gpu, *gpu);
    SIMCLR_CHECK(first == gpu, "nccl: ranks ", first - gpus.begin(), " and ", gpu - gpus.begin(), " share the GPU ",
                 gpu->substr(0, gpu->find(' ')),
                 "; start no more ranks on a machine than it has GPUs that they may use ",
                 "(CUDA_VISIBLE_DEVICES), or train on the CPU (--device cpu)");
  }
}

NcclWorld::NcclWorld(const Place& place, std::unique_ptr<Transport> transport, const NcclFunctions& nccl, Device device,
                     std::chrono::milliseconds timeout)
    : HostWorld(place, std::move(transport)),
      nccl_(nccl),
      gpu_(Context::of(device_of_rank(*this, device))),
      watchdog_("rank " + std::to_string(place.rank) + " of " + std::to_string(place.size), timeout,
                {.waits_in = nccl.unfinished,
                 .problem =
                     [&nccl] {
                       const std::string problem = nccl.problem();
                       return problem.empty() ? ""
                                              : "nccl: " + problem + "; the run ends, go on from its last checkpoint";
                     }}),
      exceptions_(std::uncaught_exceptions()) {
  require_same(*this, "device", name(device.type));
  const int gpu = gpu_.device().index;
  std::string address, problem;
  check("the GPU's address", nccl_.address(gpu, address));
  require_own_gpus(gather_texts(*this, address + " " + machine()));
  NcclId id{};
  if (rank() == 0) check("the start", nccl_.make_id(id));
  const Tensor shared = Tensor::from(std::vector<std::uint8_t>(id.begin(), id.end()), {std::ssize(id)});
  broadcast(shared);
  std::copy_n(static_cast<const std::uint8_t*>(shared.raw_data()), id.size(), id.begin());
  watchdog_.set_timeout(10 * timeout);  // many machines take long to find their GPUs and links
  watchdog_.watch("the start of NCCL", [&] { problem = nccl_.start(id, rank(), size(), gpu); });
  watchdog_.set_timeout(timeout);
  check("the start", problem);
}

/// A rank that an exception takes out of here leaves NCCL as it is, for the others do not come to its end.
NcclWorld::~NcclWorld() {
  if (std::uncaught_exceptions() > exceptions_) return;
  watchdog_.watch("the end of the run", [&] { nccl_.finish(); });
}

void NcclWorld::set_timeout(std::chrono::milliseconds timeout) {
  watchdog_.set_timeout(timeout);
  HostWorld::set_timeout(timeout);
}

void NcclWorld::join() {
  check("join", nccl_.join(gpu_.stream()));
}

bool NcclWorld::is_own(const Tensor& x) const {
  SIMCLR_CHECK(x.device() == gpu_.device() || is_host_memory(x.device()), "world: ", describe(x), " is not on ",
               gpu_.device(), ", the GPU of rank ", rank(), "; device_of_rank() says which is");
  return x.device() == gpu_.device();
}

/// What a rank sends of a sum.
std::int64_t NcclWorld::ring_bytes(const Tensor& x) const {
  return 2 * (size() - 1) * static_cast<std::int64_t>(x.bytes()) / size();
}

template <class Collective>
void NcclWorld::queue(const char* what, std::int64_t bytes, const Collective& collective) {
  std::string problem;
  watchdog_.watch(what,
                  [&] { problem = collective(gpu_.stream()); });  // waits where it joins others for the first time
  check(what, problem);
  ++traffic_.messages;
  traffic_.bytes += bytes;
}

void NcclWorld::all_reduce_checked(Tensor& x) {
  if (!is_own(x)) return HostWorld::all_reduce_checked(x);
  const bool half = x.dtype() == DType::bf16;  // which NCCL would round at each rank
  const Tensor sum = half ? x.detach().to(DType::f32) : x;
  queue("all_reduce", ring_bytes(sum), [&](void* stream) {
    return nccl_.all_reduce(sum.raw_data(), static_cast<std::size_t>(sum.numel()), sum.dtype(), stream);
  });
  if (half) x.copy_from(sum.to(DType::bf16));
}

void NcclWorld::start_all_reduce_checked(Tensor& x) {
  if (!is_own(x) || x.dtype() == DType::bf16) return all_reduce_checked(x);
  queue("all_reduce", ring_bytes(x), [&](void* stream) {
    return nccl_.start_all_reduce(x.raw_data(), static_cast<std::size_t>(x.numel()), x.dtype(), stream);
  });
}

void NcclWorld::all_gather_checked(const Tensor& x, Tensor& all) {
  if (!is_own(x)) return HostWorld::all_gather_checked(x, all);
  queue("all_gather", (size() - 1) * static_cast<std::int64_t>(x.bytes()),
        [&](void* stream) { return nccl_.all_gather(x.raw_data(), all.raw_data(), x.bytes(), stream); });
}

void NcclWorld::reduce_scatter_checked(const Tensor& all, Tensor& x) {
  if (!is_own(x)) return HostWorld::reduce_scatter_checked(all, x);
  const bool half = x.dtype() == DType::bf16;
  const Tensor from = half ? all.detach().to(DType::f32) : all;
  const Tensor sum = half ? Tensor::empty(x.shape(), DType::f32, x.device()) : x;
  queue("reduce_scatter", (size() - 1) * static_cast<std::int64_t>(sum.bytes()), [&](void* stream) {
    return nccl_.reduce_scatter(from.raw_data(), sum.raw_data(), static_cast<std::size_t>(sum.numel()), sum.dtype(),
                                stream);
  });
  if (half) x.copy_from(sum.to(DType::bf16));
}

void NcclWorld::broadcast_checked(Tensor& x, int from) {
  if (!is_own(x)) return HostWorld::broadcast_checked(x, from);
  queue("broadcast", (from + size() - 1) % size() == rank() ? 0 : static_cast<std::int64_t>(x.bytes()),
        [&](void* stream) { return nccl_.broadcast(x.raw_data(), x.bytes(), from, stream); });
}

}  // namespace simclr
