#pragma once

// Private: what dropout draws and decides, shared by the CPU and CUDA.

#include <simclr/core/random.h>
#include <simclr/kernels/dropout.h>
#include <simclr/kernels/shared/elementwise.h>
#include <simclr/kernels/shared/target.h>

#include <cstdint>

namespace simclr::kernels {
inline namespace SIMCLR_TARGET {

/// An element is dropped where its 16 bits are below the threshold: p as it is rounded, times 2^16.
inline std::uint32_t dropout_threshold(double p) {
  return static_cast<std::uint32_t>(p * 65536.0 + 0.5);
}

/// False for a NaN, too.
inline bool dropout_allows(double p) {
  return p >= 0 && p < 1 && dropout_threshold(p) < 65536;
}

/// What is kept is multiplied with this, so that the mean stays.
inline double dropout_scale(std::uint32_t threshold) {
  return 65536.0 / (65536.0 - threshold);
}

/// A view's random numbers. Element e has half e % 2, the lower one first, of word e / 2.
struct DropoutSource {
  std::uint64_t seed;
  std::uint32_t layer;

  /// `key`: of the view.
  SIMCLR_HOST_DEVICE Random view(const std::int32_t* key) const {
    const auto word = [=](int i) { return static_cast<std::uint32_t>(key[i]); };
    return Random(seed ^ static_cast<std::uint64_t>(layer) << 32, RandomPurpose::dropout, word(0), word(1), word(2));
  }
};

inline constexpr int dropout_block = 8;  // elements that a block of random numbers is for

template <class T>
SIMCLR_HOST_DEVICE inline T dropped_or_kept(T x, std::uint32_t half, std::uint32_t threshold, T scale) {
  return half >= threshold ? x * scale : closed(x);
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::kernels
