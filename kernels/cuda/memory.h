#pragma once

// Private to the runtime: a device's memory and pinned host memory, from the driver. nvcc only.

#include <simclr/core/caching_allocator.h>
#include <simclr/kernels/cuda/runtime.h>

#include <cstdio>
#include <memory>
#include <string>

namespace simclr::cuda {

inline std::string size_text(std::size_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GiB", static_cast<double>(bytes) / (1 << 30));
  return text;
}

/// While one lives, this thread may allocate though it captures: the new block is the graph's own.
class AllocationScope {
 public:
  AllocationScope() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  ~AllocationScope() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  AllocationScope(const AllocationScope&) = delete;
  AllocationScope& operator=(const AllocationScope&) = delete;

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

class DeviceMemory final : public MemorySource {
 public:
  explicit DeviceMemory(int device) : device_(device) {}

  void* take(std::size_t bytes) override {
    const AllocationScope scope;
    check(cudaSetDevice(device_), "cudaSetDevice");
    void* block = nullptr;
    const cudaError_t status = cudaMalloc(&block, bytes);
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // or the next launch would report it
      return nullptr;
    }
    check(status, "cudaMalloc");
    return block;
  }

  void give_back(void* block) noexcept override {
    const AllocationScope scope;
    cudaSetDevice(device_);
    cudaFree(block);
  }

  std::string describe() const override {
    std::size_t free = 0, total = 0;
    cudaSetDevice(device_);
    cudaMemGetInfo(&free, &total);
    return "on cuda:" + std::to_string(device_) + " (" + size_text(free) + " free of " + size_text(total) + ")";
  }

 private:
  int device_;
};

/// Host memory that the device can read by itself.
class PinnedMemory final : public MemorySource {
 public:
  void* take(std::size_t bytes) override {
    const AllocationScope scope;
    void* block = nullptr;
    if (cudaHostAlloc(&block, bytes, cudaHostAllocPortable) == cudaSuccess) return block;
    cudaGetLastError();
    return nullptr;
  }
  void give_back(void* block) noexcept override {
    const AllocationScope scope;
    cudaFreeHost(block);
  }
  std::string describe() const override { return "in pinned host memory"; }
};

inline CachingAllocator& pinned_memory() {
  static auto* const memory = new CachingAllocator(std::make_unique<PinnedMemory>());
  return *memory;
}

}  // namespace simclr::cuda
