#pragma once

// CUDA's language for the host compiler: a kernel's source compiles unchanged. Only what the kernels use is here, with
// CUDA's own names.

#include <simclr/core/dtype.h>
#include <simclr/kernels/emu/device.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

#define threadIdx (::simclr::emu::self.thread)
#define blockIdx (::simclr::emu::self.block)
#define blockDim (::simclr::emu::self.block_size)
#define gridDim (::simclr::emu::self.grid_size)
inline constexpr int warpSize = 32;

using dim3 = ::simclr::emu::Extent3;
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

inline void __syncthreads(const simclr::emu::Site& site = simclr::emu::Site::current()) {
  simclr::emu::sync_threads(site);
}

inline void __syncwarp(unsigned mask = 0xffffffffu, const simclr::emu::Site& site = simclr::emu::Site::current()) {
  simclr::emu::collective(
      mask, site, [](void* const*) {}, nullptr);
}

namespace simclr::emu {

template <class T>
struct Shuffle {
  T value;
  unsigned source;
  T result;
};

template <class T>
T shuffle(unsigned mask, T value, unsigned source, const Site& site) {
  Shuffle<T> mine{value, source, value};
  collective(
      mask, site,
      [](void* const* operands) {
        for (unsigned lane = 0; lane < warp_size; ++lane) {
          auto* reader = static_cast<Shuffle<T>*>(operands[lane]);
          if (reader == nullptr) continue;
          const auto* writer = static_cast<const Shuffle<T>*>(operands[reader->source]);
          if (writer == nullptr)
            report("a shuffle reads lane " + std::to_string(reader->source) + ", which is not in its mask");
          reader->result = writer->value;
        }
      },
      &mine);
  return mine.result;
}

inline unsigned lane() {
  return (self.thread.x + self.block_size.x * (self.thread.y + self.block_size.y * self.thread.z)) % warp_size;
}

inline unsigned ballot(unsigned mask, bool predicate, const Site& site) {
  struct Ballot {
    bool predicate;
    unsigned result;
  } mine{predicate, 0};
  collective(
      mask, site,
      [](void* const* operands) {
        unsigned all = 0;
        for (unsigned l = 0; l < warp_size; ++l) {
          if (operands[l] != nullptr && static_cast<Ballot*>(operands[l])->predicate) all |= 1u << l;
        }
        for (unsigned l = 0; l < warp_size; ++l) {
          if (operands[l] != nullptr) static_cast<Ballot*>(operands[l])->result = all;
        }
      },
      &mine);
  return mine.result;
}

}  // namespace simclr::emu

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              const simclr::emu::Site& site = simclr::emu::Site::current()) {
  const unsigned lane = simclr::emu::lane(), w = static_cast<unsigned>(width);
  return simclr::emu::shuffle(mask, value, (lane & ~(w - 1)) | (static_cast<unsigned>(source) & (w - 1)), site);
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32,
                  const simclr::emu::Site& site = simclr::emu::Site::current()) {
  const unsigned lane = simclr::emu::lane(), w = static_cast<unsigned>(width);
  const unsigned source = lane ^ static_cast<unsigned>(lanes);
  return simclr::emu::shuffle(mask, value, source / w > lane / w ? lane : source, site);
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   const simclr::emu::Site& site = simclr::emu::Site::current()) {
  const unsigned lane = simclr::emu::lane(), w = static_cast<unsigned>(width);
  return simclr::emu::shuffle(mask, value, lane % w + delta < w ? lane + delta : lane, site);
}

template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 const simclr::emu::Site& site = simclr::emu::Site::current()) {
  const unsigned lane = simclr::emu::lane(), w = static_cast<unsigned>(width);
  return simclr::emu::shuffle(mask, value, lane % w >= delta ? lane - delta : lane, site);
}

inline unsigned __ballot_sync(unsigned mask, bool predicate,
                              const simclr::emu::Site& site = simclr::emu::Site::current()) {
  return simclr::emu::ballot(mask, predicate, site);
}
inline bool __any_sync(unsigned mask, bool predicate, const simclr::emu::Site& site = simclr::emu::Site::current()) {
  return simclr::emu::ballot(mask, predicate, site) != 0;
}
inline bool __all_sync(unsigned mask, bool predicate, const simclr::emu::Site& site = simclr::emu::Site::current()) {
  return simclr::emu::ballot(mask, predicate, site) == mask;
}

inline float __uint_as_float(unsigned bits) {
  return std::bit_cast<float>(bits);
}
inline unsigned __float_as_uint(float value) {
  return std::bit_cast<unsigned>(value);
}
inline float __int_as_float(int bits) {
  return std::bit_cast<float>(bits);
}
inline int __float_as_int(float value) {
  return std::bit_cast<int>(value);
}
inline int __float2int_rn(float value) {
  return static_cast<int>(std::nearbyint(value));
}
inline float rsqrtf(float value) {
  return 1.0f / std::sqrt(value);
}
inline float __fmul_rn(float a, float b) {
  return a * b;
}
inline int __popc(unsigned bits) {
  return std::popcount(bits);
}
inline int __ffs(int bits) {
  return bits == 0 ? 0 : std::countr_zero(static_cast<unsigned>(bits)) + 1;
}
// Blocks run one after the other, and a thread runs alone until it waits.
inline void __threadfence() {}
inline unsigned atomicInc(unsigned* address, unsigned last) {
  const unsigned old = *address;
  *address = old >= last ? 0 : old + 1;
  return old;
}
template <class T>
T __ldg(const T* address) {
  return *address;
}
using std::max;
using std::min;
