#pragma once

#include "support/catch.h"

#include <simclr/kernels/augment.h>

#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

/// Pictures that tests of augmentation make by themselves, and one view of one of them.
namespace simclr::test {

using Pixels = std::vector<std::uint8_t>;

inline kernels::ImageRef image(std::int32_t height, std::int32_t width, std::int32_t channels,
                               std::uint32_t sample = 0) {
  return {.height = height, .width = width, .channels = channels, .sample = sample};
}

/// The same pixels as the fixture's script: texture, with grey patches.
inline Pixels make_picture(const kernels::ImageRef& p) {
  Pixels pixels;
  for (int y = 0; y < p.height; ++y) {
    for (int x = 0; x < p.width; ++x) {
      for (int i = 0; i < p.channels; ++i) {
        const int c = (x / 4 + y / 4) % 5 == 0 ? 0 : i;
        pixels.push_back(static_cast<std::uint8_t>(37 * y * y + 101 * x + 53 * c * c + 7 * x * y * (c + 1)));
      }
    }
  }
  return pixels;
}

/// The same with values of another type that say more than bytes: of all 16 bits, or from 0 to 1.
template <class P>
std::vector<P> make_values(const kernels::ImageRef& p) {
  std::vector<P> values;
  std::uint32_t state = 12345 + p.sample;
  for (std::int64_t i = 0; i < std::int64_t{p.height} * p.width * p.channels; ++i) {
    state = 1664525 * state + 1013904223;
    const std::uint32_t bits = state >> 16;
    if constexpr (std::is_same_v<P, float>) {
      values.push_back(static_cast<float>(bits) / 65535.0f);
    } else {
      values.push_back(static_cast<P>(bits >> (16 - 8 * sizeof(P))));
    }
  }
  return values;
}

/// [S,S,C]; nothing is written behind it.
template <class P>
std::vector<float> make_view(const std::vector<P>& pixels, const kernels::ImageRef& picture,
                             const kernels::AugmentPolicy& policy, const kernels::AugmentParameters& parameters) {
  const std::size_t count = static_cast<std::size_t>(policy.size) * policy.size * policy.channels;
  std::vector<float> out(count + 16, NAN);  // the margin shows a write past the end
  kernels::augment_picture(pixels.data(), picture, policy, parameters, out.data());
  for (std::size_t i = count; i < out.size(); ++i) REQUIRE(std::isnan(out[i]));
  out.resize(count);
  return out;
}

/// Of the whole picture, with nothing else.
inline kernels::AugmentParameters whole(const kernels::ImageRef& picture) {
  kernels::AugmentParameters p;
  p.crop_height = picture.height;
  p.crop_width = picture.width;
  return p;
}

}  // namespace simclr::test
