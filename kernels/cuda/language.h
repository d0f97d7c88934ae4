#pragma once

// What a kernel's source starts with. nvcc compiles it for CUDA, the host compiler for the emulated device; the two
// differ in nothing that a kernel sees. A few things have a spelling of their own:
//   SIMCLR_SHARED(float, tile, [32][33]);      float tile[32][33] in shared memory
//   SIMCLR_DYNAMIC_SHARED(float, buffer);      float* buffer, as many bytes as the launch asks for
//   SIMCLR_KERNELS(relu)                       the name of the op's table on this device: relu_cuda or relu_emu
// Device helpers live in namespace simclr::gpu; its inline namespace keeps the two compilations apart.

#ifdef SIMCLR_EMU

#include <simclr/kernels/emu/language.h>

#define SIMCLR_TARGET emu_target
#define SIMCLR_KERNELS(op) op##_emu

#define SIMCLR_SHARED(type, name, extents) \
  using name##_array = type extents;       \
  static const char name##_key = 0;        \
  name##_array& name = *static_cast<name##_array*>(::simclr::emu::shared(&name##_key, sizeof(name##_array)))
#define SIMCLR_DYNAMIC_SHARED(type, name) type* const name = static_cast<type*>(::simclr::emu::dynamic_shared())

#else

#include <cuda_runtime.h>

#define SIMCLR_TARGET cuda_target
#define SIMCLR_KERNELS(op) op##_cuda

#define SIMCLR_SHARED(type, name, extents) __shared__ type name extents
#define SIMCLR_DYNAMIC_SHARED(type, name)                                 \
  extern __shared__ __align__(128) unsigned char simclr_dynamic_shared[]; \
  type* const name = reinterpret_cast<type*>(simclr_dynamic_shared)

#endif

namespace simclr::gpu {
inline namespace SIMCLR_TARGET {}
}  // namespace simclr::gpu
