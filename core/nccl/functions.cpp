// libsimclr_nccl.so: NCCL by the calls of core/nccl_functions.h.
#include <simclr/core/export.h>
#include <simclr/core/nccl_functions.h>

#include <cuda_runtime.h>
#include <nccl.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>

static_assert(sizeof(ncclUniqueId) == sizeof(simclr::NcclId));

namespace {

using simclr::DType;

/// This process's communicator. Its watchdog looks at it while the program's thread queues collectives.
struct Communicator {
  std::mutex mutex;  // of comm's beginning and end
  ncclComm_t comm = nullptr;
  int gpu = 0;
  cudaEvent_t queued = nullptr;  // recorded behind each collective
  cudaStream_t beside = nullptr;
  cudaEvent_t before = nullptr, behind = nullptr;  // what runs there
  bool started = false;                            // and was not joined
  std::atomic<std::uint64_t> count{0};
};
Communicator own;

std::string words(cudaError_t status) {
  return status == cudaSuccess ? "" : std::string("CUDA: ") + cudaGetErrorString(status);
}

std::string words(ncclResult_t status) {
  if (status == ncclSuccess || status == ncclInProgress) return "";
  const char* more = ncclGetLastError(own.comm);
  std::string text = ncclGetErrorString(status);
  if (more != nullptr && *more != '\0') text += std::string(" (") + more + ")";
  text.erase(std::remove(text.begin(), text.end(), '\n'), text.end());  // one line
  return text;
}

ncclDataType_t type_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return ncclFloat32;
    case DType::f64: return ncclFloat64;
    case DType::i32: return ncclInt32;
    default: return ncclNumTypes;  // which NCCL refuses
  }
}

/// Sums in a switch of NVLink's do not give the same bits each time, where ring and tree do. Who sets the variable, as
/// one may for speed, is heard. Before NCCL reads it: it does so once.
void prefer_same_bits() {
  setenv("NCCL_NVLS_ENABLE", "0", 0);
}

int nccl_version() {
  int version = 0;
  ncclGetVersion(&version);
  return version;
}

std::string address(int gpu, std::string& text) {
  char found[32] = "";
  const cudaError_t status = cudaDeviceGetPCIBusId(found, sizeof found, gpu);
  text = found;
  return words(status);
}

std::string make_id(simclr::NcclId& id) {
  prefer_same_bits();
  ncclUniqueId made;
  const ncclResult_t status = ncclGetUniqueId(&made);
  std::copy(std::begin(made.internal), std::end(made.internal), id.begin());
  return words(status);
}

std::string start(const simclr::NcclId& id, int rank, int size, int gpu) {
  prefer_same_bits();
  own.gpu = gpu;
  std::string problem = words(cudaSetDevice(gpu));
  for (cudaEvent_t* event : {&own.queued, &own.before, &own.behind}) {
    if (problem.empty()) problem = words(cudaEventCreateWithFlags(event, cudaEventDisableTiming));
  }
  if (problem.empty()) problem = words(cudaStreamCreateWithFlags(&own.beside, cudaStreamNonBlocking));
  if (!problem.empty()) return problem;
  ncclUniqueId given;
  std::copy(id.begin(), id.end(), std::begin(given.internal));
  ncclComm_t comm = nullptr;
  const ncclResult_t status = ncclCommInitRank(&comm, size, given, rank);
  if (status != ncclSuccess) return words(status);
  const std::lock_guard lock(own.mutex);
  own.comm = comm;
  return "";
}

/// The stream waits for what was started beside it.
std::string join(void* stream) {
  if (!own.started) return "";
  own.started = false;
  return words(cudaStreamWaitEvent(static_cast<cudaStream_t>(stream), own.behind, 0));
}

/// Queues a collective. The watchdog is to see when the GPU is through with it; what is captured is queued later, and
/// nothing of a capture can be asked after.
template <class Collective>
std::string queue(cudaStream_t stream, const Collective& collective) {
  std::string problem = words(collective(stream));
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
  if (problem.empty()) problem = words(cudaStreamIsCapturing(stream, &capture));
  if (!problem.empty() || capture != cudaStreamCaptureStatusNone) return problem;
  problem = words(cudaEventRecord(own.queued, stream));
  ++own.count;
  return problem;
}

/// The same in the caller's stream, behind what was started beside it.
template <class Collective>
std::string queue_behind(void* stream, const Collective& collective) {
  const std::string problem = join(stream);
  return problem.empty() ? queue(static_cast<cudaStream_t>(stream), collective) : problem;
}

std::string all_reduce(void* x, std::size_t count, DType dtype, void* stream) {
  return queue_behind(
      stream, [&](cudaStream_t in) { return ncclAllReduce(x, x, count, type_of(dtype), ncclSum, own.comm, in); });
}

std::string all_gather(const void* x, void* all, std::size_t bytes, void* stream) {
  return queue_behind(stream, [&](cudaStream_t in) { return ncclAllGather(x, all, bytes, ncclUint8, own.comm, in); });
}

std::string reduce_scatter(const void* all, void* x, std::size_t count, DType dtype, void* stream) {
  return queue_behind(
      stream, [&](cudaStream_t in) { return ncclReduceScatter(all, x, count, type_of(dtype), ncclSum, own.comm, in); });
}

std::string broadcast(void* x, std::size_t bytes, int from, void* stream) {
  return queue_behind(stream,
                      [&](cudaStream_t in) { return ncclBroadcast(x, x, bytes, ncclUint8, from, own.comm, in); });
}

std::string start_all_reduce(void* x, std::size_t count, DType dtype, void* stream) {
  std::string problem = words(cudaEventRecord(own.before, static_cast<cudaStream_t>(stream)));
  if (problem.empty()) problem = words(cudaStreamWaitEvent(own.beside, own.before, 0));
  if (problem.empty()) {
    problem = queue(own.beside,
                    [&](cudaStream_t in) { return ncclAllReduce(x, x, count, type_of(dtype), ncclSum, own.comm, in); });
  }
  if (problem.empty()) problem = words(cudaEventRecord(own.behind, own.beside));
  own.started = true;
  return problem;
}

std::string problem() {
  const std::lock_guard lock(own.mutex);
  if (own.comm == nullptr) return "";
  ncclResult_t status = ncclSuccess;
  const ncclResult_t asked = ncclCommGetAsyncError(own.comm, &status);
  return words(asked != ncclSuccess ? asked : status);
}

std::uint64_t unfinished() {
  const std::lock_guard lock(own.mutex);
  if (own.comm == nullptr || own.count == 0) return 0;
  cudaSetDevice(own.gpu);  // or the watchdog's thread would open the first one
  return cudaEventQuery(own.queued) == cudaErrorNotReady ? own.count.load() : 0;
}

std::string finish() {
  ncclComm_t comm = nullptr;
  {
    const std::lock_guard lock(own.mutex);
    std::swap(comm, own.comm);
  }
  if (comm == nullptr) return "";
  const ncclResult_t status = ncclCommDestroy(comm);
  for (cudaEvent_t event : {own.queued, own.before, own.behind}) cudaEventDestroy(event);
  cudaStreamDestroy(own.beside);
  return words(status);
}

constexpr simclr::NcclFunctions functions = {
    .version = SIMCLR_LOADED_VERSION,
    .nccl_version = nccl_version,
    .address = address,
    .make_id = make_id,
    .start = start,
    .all_reduce = all_reduce,
    .all_gather = all_gather,
    .reduce_scatter = reduce_scatter,
    .broadcast = broadcast,
    .start_all_reduce = start_all_reduce,
    .join = join,
    .problem = problem,
    .unfinished = unfinished,
    .finish = finish,
};

}  // namespace

extern "C" SIMCLR_API const void* simclr_nccl_functions() {
  return &functions;
}
