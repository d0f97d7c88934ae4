#pragma once

// Launching a kernel, on either device: launch("relu_kernel", y.device(), {blocks, threads}, relu_kernel<T>, ...).

#include <simclr/core/context.h>
#include <simclr/core/error.h>
#include <simclr/core/tensor.h>
#include <simclr/kernels/cuda/captured_copy.h>
#include <simclr/kernels/cuda/language.h>

#ifndef SIMCLR_EMU
#include <simclr/kernels/cuda/runtime.h>
#endif

#include <algorithm>
#include <cstring>

namespace simclr::gpu {
inline namespace SIMCLR_TARGET {

#ifdef SIMCLR_EMU
inline constexpr DeviceType device_type = DeviceType::emu;
#else
inline constexpr DeviceType device_type = DeviceType::cuda;
#endif

struct LaunchShape {
  dim3 grid;
  unsigned threads;  // a block
  std::size_t dynamic_shared = 0;
};

/// Queues `kernel(arguments...)` in the device's stream. A grid of no blocks is nothing to do. Throws Error with the
/// kernel's name where the launch fails.
template <class... Parameters, class... Arguments>
void launch(const char* name, Device device, const LaunchShape& shape, void (*kernel)(Parameters...),
            const Arguments&... arguments) {
  if (shape.grid.x == 0 || shape.grid.y == 0 || shape.grid.z == 0) return;
#ifdef SIMCLR_EMU
  static_cast<void>(device);
  emu::launch({name, shape.grid, dim3(shape.threads), shape.dynamic_shared},
              [kernel, ... values = static_cast<Parameters>(arguments)] { kernel(values...); });
#else
  const cudaStream_t stream =
      cuda::begin_launch(name, device, reinterpret_cast<const void*>(kernel), shape.dynamic_shared);
  kernel<<<shape.grid, shape.threads, shape.dynamic_shared, stream>>>(static_cast<Parameters>(arguments)...);
  cuda::end_launch(name, stream);
#endif
}

/// Queues a copy; either side may be host memory. Waits for the copy where it ends in host memory.
inline void copy_bytes(Device to_device, void* to, Device from_device, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
#ifdef SIMCLR_EMU
  if (emu::capturing()) check_captured_copy(to_device, from_device);
  emu::queue([to, from, bytes] { std::memmove(to, from, bytes); });
#else
  cuda::copy(to_device, to, from_device, from, bytes);
#endif
}

/// Queues filling with one byte.
inline void fill_bytes(Device device, void* to, unsigned char value, std::size_t bytes) {
  if (bytes == 0) return;
#ifdef SIMCLR_EMU
  static_cast<void>(device);
  emu::queue([to, value, bytes] { std::memset(to, value, bytes); });
#else
  cuda::fill(device, to, value, bytes);
#endif
}

/// Multiprocessors of the device: grids that loop over their work are a small multiple of it.
inline int multiprocessors([[maybe_unused]] Device device) {
#ifdef SIMCLR_EMU
  return 4;  // few, so that loops over the grid do loop in tests
#else
  return cuda::multiprocessors(device);
#endif
}

inline unsigned blocks_for(std::int64_t items, std::int64_t each, std::int64_t limit = 1 << 30) {
  return static_cast<unsigned>(std::min((items + each - 1) / each, limit));
}

/// Calls body(T{}) with T float or BFloat16, for f32 or bf16: the floating dtypes of a GPU. f64 is for the CPU.
template <class Body>
decltype(auto) dispatch_float(DType dtype, Body&& body) {
  SIMCLR_CHECK(dtype == DType::f32 || dtype == DType::bf16, name(device_type), ": kernels take f32 or bf16, got ",
               dtype);
  return dtype == DType::bf16 ? body(BFloat16{}) : body(float{});
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::gpu
