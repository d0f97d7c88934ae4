#pragma once

// Loads and stores of several values at a time, as floats, whatever the memory holds.

#include <simclr/core/dtype.h>
#include <simclr/kernels/cuda/language.h>

#include <bit>
#include <cstdint>

namespace simclr::gpu {
inline namespace SIMCLR_TARGET {

__device__ inline float widen(float x) {
  return x;
}
__device__ inline float widen(BFloat16 x) {
  return __uint_as_float(static_cast<unsigned>(x.bits) << 16);
}

/// Rounds to T, to nearest even.
template <class T>
__device__ T narrow_to(float x) {
  if constexpr (sizeof(T) == 4) {
    return x;
  } else {
#ifdef __CUDA_ARCH__
    BFloat16 result;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(x));
    return result;
#else
    return BFloat16(x);
#endif
  }
}

/// Two floats as bf16 in one word, `low` in the lower half: what the tensor cores take.
__device__ inline std::uint32_t pack_bf16(float low, float high) {
#ifdef __CUDA_ARCH__
  std::uint32_t word;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
#else
  return static_cast<std::uint32_t>(BFloat16(low).bits) | static_cast<std::uint32_t>(BFloat16(high).bits) << 16;
#endif
}

/// N values on their way between memory and registers.
template <int N>
struct Pack {
  float value[N];
  __device__ float& operator[](int i) { return value[i]; }
  __device__ float operator[](int i) const { return value[i]; }
};

/// How many T are read or written at once: 16 bytes.
template <class T>
inline constexpr int vector_width = 16 / static_cast<int>(sizeof(T));

/// N values of bf16, the first of a pair in the lower half of its word.
template <int N>
struct alignas(2 * N) HalfWords {
  std::uint32_t word[N / 2];
};

/// Reads N values; `from` is aligned to their size (N is 1, or N values are 4, 8 or 16 bytes).
template <int N, class T>
__device__ Pack<N> load(const T* from) {
  struct alignas(N * sizeof(T)) Words {
    T value[N];
  };
  const Words words = *reinterpret_cast<const Words*>(from);
  Pack<N> pack;
  if constexpr (sizeof(T) == 2 && N % 2 == 0) {  // two values a word, an instruction each
    const auto pairs = std::bit_cast<HalfWords<N>>(words);
#pragma unroll
    for (int i = 0; i < N; i += 2) {
      pack[i] = __uint_as_float(pairs.word[i / 2] << 16);
      pack[i + 1] = __uint_as_float(pairs.word[i / 2] & 0xffff0000u);
    }
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) pack[i] = widen(words.value[i]);
  }
  return pack;
}

/// Rounds and writes N values; `to` is aligned to their size.
template <int N, class T>
__device__ void store(T* to, const Pack<N>& pack) {
  struct alignas(N * sizeof(T)) Words {
    T value[N];
  } words;
  if constexpr (sizeof(T) == 2 && N % 2 == 0) {
    HalfWords<N> pairs;
#pragma unroll
    for (int i = 0; i < N; i += 2) pairs.word[i / 2] = pack_bf16(pack[i], pack[i + 1]);
    words = std::bit_cast<Words>(pairs);
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) words.value[i] = narrow_to<T>(pack[i]);
  }
  *reinterpret_cast<Words*>(to) = words;
}

/// Whether all addresses may be read 16 bytes at a time.
template <class... Pointers>
bool aligned16(const Pointers*... pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) % 16 == 0) && ...);
}

/// 2^x by the special function unit, relative error under 2^-22. Subnormal results are 0.
__device__ inline float fast_exp2(float x) {
#ifdef __CUDA_ARCH__
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  const float y = std::exp2(x);
  return y < 1.17549435e-38f ? 0.0f : y;
#endif
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::gpu
