#pragma once

// CUDA's side of a device: its stream, and what every launch, copy and library call goes through. nvcc only.

#include <simclr/core/context.h>
#include <simclr/kernels/cuda/handle.h>

#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <cudnn.h>

#include <cstddef>

namespace simclr::cuda {

/// Throws Error where `status` is one: "cuda: WHAT: the runtime's words; what to do".
void check(cudaError_t status, const char* what);
void check(cublasStatus_t status, const char* what);
void check(cudnnStatus_t status, const char* what);

/// Makes the device current on this thread and returns its compute stream.
cudaStream_t use(Device device);

/// Around a kernel's launch: the device made current, an NVTX range of the kernel's name, as much dynamic shared memory
/// as it wants allowed; afterwards the launch's error, and with SIMCLR_SYNC=1 that of the kernel itself.
cudaStream_t begin_launch(const char* kernel_name, Device device, const void* kernel, std::size_t dynamic_shared);
void end_launch(const char* kernel_name, cudaStream_t stream);

/// Either side may be host memory. Throws Error for what a captured step must not copy.
void copy(Device to_device, void* to, Device from_device, const void* from, std::size_t bytes);
void fill(Device device, void* to, unsigned char value, std::size_t bytes);
int multiprocessors(Device device);
/// 90 for compute capability 9.0.
int capability(Device device);

/// The libraries' handles, bound to the device's stream, the calling thread's until the result goes: between two calls
/// of a library no other thread changes a setting. cuBLAS has a workspace of its own, since one that it allocates
/// itself cannot be captured.
HandleUse<cublasHandle_t> cublas(Device device);
HandleUse<cudnnHandle_t> cudnn(Device device);

}  // namespace simclr::cuda
