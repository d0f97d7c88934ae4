// CUDA as core sees it: contexts (a stream and a caching allocator each), errors in words, graphs, and the handles of
// cuBLAS and cuDNN. Contexts are never destroyed: the driver may be gone before the last static object is.
#include <simclr/core/caching_allocator.h>
#include <simclr/core/error.h>
#include <simclr/core/runtime.h>
#include <simclr/kernels/cuda/captured_copy.h>
#include <simclr/kernels/cuda/memory.h>
#include <simclr/kernels/cuda/problem.h>
#include <simclr/kernels/cuda/runtime.h>
#include <simclr/kernels/cuda/shared_memory.h>
#include <simclr/kernels/cuda/staged_transfer.h>

#include <nvtx3/nvToolsExt.h>

#include <cstdlib>
#include <mutex>
#include <utility>
#include <vector>

namespace simclr {
namespace cuda {
namespace {

/// One device's streams, memory and handles.
struct DeviceState {
  explicit DeviceState(int index) {
    check(cudaSetDevice(index), "cudaSetDevice");
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties");
    capability = 10 * properties.major + properties.minor;
    const std::string unfit = describe_architecture(properties.name, capability, SIMCLR_CUDA_ARCHITECTURES);
    SIMCLR_CHECK(unfit.empty(), "cuda:", index, ": ", unfit);
    multiprocessors = properties.multiProcessorCount;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
    check(cudaStreamCreateWithFlags(&copy_stream, cudaStreamNonBlocking), "cudaStreamCreate");
    allocator = std::make_shared<CachingAllocator>(std::make_unique<DeviceMemory>(index));
    context = std::make_unique<Context>(Device{DeviceType::cuda, index}, allocator, stream);
  }

  cudaStream_t stream = nullptr, copy_stream = nullptr;
  int multiprocessors = 0, capability = 0;
  std::shared_ptr<CachingAllocator> allocator;
  std::unique_ptr<Context> context;
  LockedHandle<cublasHandle_t> cublas;
  LockedHandle<cudnnHandle_t> cudnn;
};

DriverState driver_state() {
  DriverState state;
  cudaDriverGetVersion(&state.driver);
  cudaRuntimeGetVersion(&state.runtime);
  const cudaError_t status = cudaGetDeviceCount(&state.devices);
  if (status != cudaSuccess) {
    state.devices = 0;
    if (status != cudaErrorNoDevice) state.error = cudaGetErrorString(status);
    cudaGetLastError();
  }
  if (const char* visible = std::getenv("CUDA_VISIBLE_DEVICES")) state.visible = std::string("=") + visible;
  return state;
}

const DriverState& driver() {
  static const DriverState state = driver_state();
  return state;
}

std::string problem() {
  static const std::string text = describe_problem(driver());
  return text;
}

int count() {
  return problem().empty() ? driver().devices : 0;
}

DeviceState& state_of(Device device) {
  static std::mutex mutex;
  static auto* states = new std::vector<std::unique_ptr<DeviceState>>(static_cast<std::size_t>(count()));
  const std::lock_guard lock(mutex);
  auto& state = states->at(static_cast<std::size_t>(device.index));
  if (!state) state = std::make_unique<DeviceState>(device.index);
  return *state;
}

Context& context(int index) {
  return *state_of({DeviceType::cuda, index}).context;
}

bool capturing(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  cudaStreamIsCapturing(stream, &status);
  return status != cudaStreamCaptureStatusNone;
}

void wait(cudaStream_t stream, const char* what) {
  SIMCLR_CHECK(!capturing(stream), what, " waits for the device, which a captured step must not");
  check(cudaStreamSynchronize(stream), what);
}

void synchronize(const Context& context) {
  wait(use(context.device()), "synchronize");
}

/// An instantiated graph and the pool that its tensors live in.
class CudaGraph final : public CapturedStep::Graph {
 public:
  CudaGraph(Device device, const std::function<void()>& step) : state_(state_of(device)), device_(device) {
    const cudaStream_t stream = use(device);
    check(cudaStreamSynchronize(stream), "capture");
    pool_ = state_.allocator->open_pool();
    cudaGraph_t graph = nullptr;
    try {
      // Thread-local: what loader threads do meanwhile is their own affair.
      check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
      step();
      check(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
      check(cudaGraphInstantiate(&graph_, graph, 0), "cudaGraphInstantiate");
    } catch (...) {
      if (capturing(stream)) cudaStreamEndCapture(stream, &graph);
      if (graph != nullptr) cudaGraphDestroy(graph);
      cudaGetLastError();
      state_.allocator->close_pool();
      release();
      throw;
    }
    cudaGraphDestroy(graph);
    state_.allocator->close_pool();
  }

  ~CudaGraph() override {
    if (!capturing(state_.stream)) cudaStreamSynchronize(state_.stream);
    release();
  }

  void replay() override {
    const cudaStream_t stream = use(device_);
    check(cudaGraphLaunch(graph_, stream), "cudaGraphLaunch");
  }

 private:
  void release() noexcept {
    if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
    state_.allocator->drop_pool(pool_);
  }

  DeviceState& state_;
  Device device_;
  std::uint64_t pool_ = 0;
  cudaGraphExec_t graph_ = nullptr;
};

std::unique_ptr<CapturedStep::Graph> capture(Context& context, const std::function<void()>& step) {
  return std::make_unique<CudaGraph>(context.device(), step);
}

/// An event of a device's, without times.
class Event {
 public:
  explicit Event(Device device) {
    use(device);
    check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "cudaEventCreate");
  }
  Event(Event&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  Event& operator=(Event&& other) noexcept {
    std::swap(event_, other.event_);
    return *this;
  }
  ~Event() {
    if (event_ != nullptr) cudaEventDestroy(event_);
  }
  operator cudaEvent_t() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

/// What kernels/cuda/streams.h asks of a runtime.
struct Streams {
  struct Stream {
    Device device;
    cudaStream_t stream;
  };
  using Event = cuda::Event;

  Device device;  // of compute() and uploads()

  static BlocksInFlight<Event>& pinned() {
    static auto* const blocks = new BlocksInFlight<Event>;
    return *blocks;
  }

  bool capturing() const { return cuda::capturing(state_of(device).stream); }
  Stream compute() const { return {device, state_of(device).stream}; }
  Stream uploads() const { return {device, state_of(device).copy_stream}; }
  Event event(const Stream& stream) { return Event(stream.device); }
  void record(Event& event, const Stream& stream) { check(cudaEventRecord(event, stream.stream), "cudaEventRecord"); }
  void wait(const Stream& stream, const Event& event) {
    check(cudaStreamWaitEvent(stream.stream, event, 0), "cudaStreamWaitEvent");
  }
  void host_wait(const Event& event) { check(cudaEventSynchronize(event), "cudaEventSynchronize"); }
  void copy(const Stream& stream, void* to, const void* from, std::size_t bytes) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream.stream), "copy");
  }
  void* take_pinned(std::size_t bytes) {
    const auto passed = [](const Event& event) {
      if (cudaEventQuery(event) == cudaSuccess) return true;
      cudaGetLastError();  // or the next launch would report that it is not ready
      return false;
    };
    pinned().collect(passed, [](void* block, std::size_t size) { pinned_memory().release(block, size); });
    return pinned_memory().allocate(bytes);
  }
  void keep_pinned(void* block, std::size_t bytes, Event event) noexcept {
    pinned().keep(block, bytes, std::move(event));
  }
};

std::unique_ptr<Upload::Transfer> upload(Context& context, void* to, std::size_t bytes) {
  return std::make_unique<StagedTransfer<Streams>>(Streams{context.device()}, to, bytes);
}

bool synchronous() {
  static const bool on = [] {
    const char* value = std::getenv("SIMCLR_SYNC");
    return value != nullptr && std::string(value) == "1";
  }();
  return on;
}

const char* remedy(cudaError_t status) {
  switch (status) {
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDeviceFunction:
      return "this build has no kernels for this GPU's architecture; build with -DCMAKE_CUDA_ARCHITECTURES=native";
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorAssert:
    case cudaErrorMisalignedAddress:
    case cudaErrorIllegalInstruction:
    case cudaErrorHardwareStackError: return "a kernel before this failed; run again with SIMCLR_SYNC=1 to see which";
    case cudaErrorLaunchTimeout: return "the display's watchdog ended a kernel; use a GPU without a display";
    default: return "see nvidia-smi";
  }
}

}  // namespace

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // so that the next call does not report it again
  if (status == cudaErrorMemoryAllocation) {
    fail<OutOfMemory>("cuda: ", what, ": out of memory; lower the batch size or the model's width");
  }
  fail("cuda: ", what, ": ", cudaGetErrorString(status), "; ", remedy(status));
}

void check(cublasStatus_t status, const char* what) {
  SIMCLR_CHECK(status == CUBLAS_STATUS_SUCCESS, "cuda: ", what, ": ", cublasGetStatusString(status));
}

void check(cudnnStatus_t status, const char* what) {
  SIMCLR_CHECK(status == CUDNN_STATUS_SUCCESS, "cuda: ", what, ": ", cudnnGetErrorString(status));
}

cudaStream_t use(Device device) {
  DeviceState& state = state_of(device);
  check(cudaSetDevice(device.index), "cudaSetDevice");
  return state.stream;
}

cudaStream_t begin_launch(const char* kernel_name, Device device, const void* kernel, std::size_t dynamic_shared) {
  const cudaStream_t stream = use(device);
  static auto* const limits = new SharedMemoryLimits;
  limits->reserve(device.index, kernel, dynamic_shared, [&](std::size_t bytes) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
          kernel_name);
  });
  nvtxRangePushA(kernel_name);
  return stream;
}

void end_launch(const char* kernel_name, cudaStream_t stream) {
  nvtxRangePop();
  check(cudaGetLastError(), kernel_name);
  if (synchronous() && !capturing(stream)) {
    const cudaError_t status = cudaStreamSynchronize(stream);
    SIMCLR_CHECK(status == cudaSuccess, "cuda: ", kernel_name, ": ", cudaGetErrorString(status),
                 "; run under compute-sanitizer for the line");
  }
}

void copy(Device to_device, void* to, Device from_device, const void* from, std::size_t bytes) {
  const bool to_host = is_host_memory(to_device);
  const cudaStream_t stream = use(to_host ? from_device : to_device);
  const bool between = to_device != from_device && to_device.type == from_device.type;
  if (capturing(stream) || (between && capturing(state_of(from_device).stream))) {
    gpu::check_captured_copy(to_device, from_device);
  }
  if (between) {
    Streams streams{to_device};
    return copy_between(streams, streams.compute(), to, Streams{from_device}.compute(), from, bytes);
  }
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream), "copy");
  if (to_host) wait(stream, "a copy to the host");
}

void fill(Device device, void* to, unsigned char value, std::size_t bytes) {
  check(cudaMemsetAsync(to, value, bytes, use(device)), "fill");
}

int multiprocessors(Device device) {
  return state_of(device).multiprocessors;
}

int capability(Device device) {
  return state_of(device).capability;
}

HandleUse<cublasHandle_t> cublas(Device device) {
  const cudaStream_t stream = use(device);
  DeviceState& state = state_of(device);
  return state.cublas.use([&] {
    cublasHandle_t handle = nullptr;
    check(cublasCreate(&handle), "cublasCreate");
    constexpr std::size_t workspace = std::size_t{32} << 20;  // NVIDIA's advice for Hopper
    check(cublasSetStream(handle, stream), "cublasSetStream");
    check(cublasSetWorkspace(handle, state.allocator->allocate(workspace), workspace), "cublasSetWorkspace");
    return handle;
  });
}

HandleUse<cudnnHandle_t> cudnn(Device device) {
  const cudaStream_t stream = use(device);
  return state_of(device).cudnn.use([&] {
    cudnnHandle_t handle = nullptr;
    check(cudnnCreate(&handle), "cudnnCreate");
    check(cudnnSetStream(handle, stream), "cudnnSetStream");
    return handle;
  });
}

}  // namespace cuda

extern const RuntimeKernels runtime_cuda;
const RuntimeKernels runtime_cuda = {cuda::problem,     cuda::count,   cuda::context,
                                     cuda::synchronize, cuda::capture, cuda::upload};

}  // namespace simclr
