#include "modalities/shown_picture.h"

#include <algorithm>
#include <cmath>

using simclr::data::Picture;

namespace {

/// RGB with alpha laid over white, as the encoder sees it.
Picture without_alpha(const Picture& picture) {
  Picture plain{.height = picture.height, .width = picture.width, .channels = 3, .pixels = {}};
  for (std::size_t i = 0; i + 3 < picture.pixels.size(); i += 4) {
    const int alpha = picture.pixels[i + 3];
    for (std::size_t c = 0; c < 3; ++c) {
      plain.pixels.push_back(static_cast<std::uint8_t>((picture.pixels[i + c] * alpha + 255 * (255 - alpha)) / 255));
    }
  }
  return plain;
}

/// Each pixel the mean of those that it stands for.
Picture shrunk(const Picture& from, int most_side) {
  const int longest = std::max(from.height, from.width);
  if (longest <= most_side) return from;
  const auto scaled = [&](int side) { return std::max(1, static_cast<int>(std::int64_t{side} * most_side / longest)); };
  Picture to{.height = scaled(from.height), .width = scaled(from.width), .channels = from.channels, .pixels = {}};
  for (int y = 0; y < to.height; ++y) {
    const std::int64_t top = std::int64_t{y} * from.height / to.height;
    const std::int64_t bottom = std::int64_t{y + 1} * from.height / to.height;
    for (int x = 0; x < to.width; ++x) {
      const std::int64_t left = std::int64_t{x} * from.width / to.width;
      const std::int64_t right = std::int64_t{x + 1} * from.width / to.width;
      for (int c = 0; c < from.channels; ++c) {
        std::int64_t sum = 0;
        for (std::int64_t v = top; v < bottom; ++v) {
          for (std::int64_t u = left; u < right; ++u) {
            sum += from.pixels[static_cast<std::size_t>((v * from.width + u) * from.channels + c)];
          }
        }
        to.pixels.push_back(static_cast<std::uint8_t>(sum / ((bottom - top) * (right - left))));
      }
    }
  }
  return to;
}

/// How many of a picture's channels are drawn.
int shown_channels(int channels, int view_channels) {
  if (simclr::kernels::is_colour(view_channels)) return channels;
  return channels < 3 ? 1 : 3;
}

/// Of a value in [0,1].
std::uint8_t byte_of(float value) {
  return static_cast<std::uint8_t>(std::lround(255 * std::clamp(value, 0.0f, 1.0f)));
}

}  // namespace

Picture picture_of(const simclr::data::Sample& sample, int view_channels) {
  const auto channels = static_cast<int>(sample.shape[2]);
  const int shown = shown_channels(channels, view_channels);
  Picture picture{.height = static_cast<std::int32_t>(sample.shape[0]),
                  .width = static_cast<std::int32_t>(sample.shape[1]),
                  .channels = shown,
                  .pixels = {}};
  simclr::kernels::dispatch_values(sample.dtype, [&](auto zero) {
    const auto values = sample.values<decltype(zero)>();
    for (std::size_t i = 0; i < values.size(); i += static_cast<std::size_t>(channels)) {
      for (int c = 0; c < shown; ++c) {
        picture.pixels.push_back(byte_of(static_cast<float>(values[i + static_cast<std::size_t>(c)]) /
                                         simclr::kernels::white_of<decltype(zero)>));
      }
    }
  });
  return picture;
}

Picture picture_of_view(const simclr::Tensor& view, const simclr::data::Augmentation& policy) {
  const int shown = shown_channels(policy.channels, policy.channels);
  Picture picture{.height = policy.size, .width = policy.size, .channels = shown, .pixels = {}};
  const std::vector<float> values = view.to_vector<float>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto c = static_cast<int>(i % static_cast<std::size_t>(policy.channels));
    if (c < shown) picture.pixels.push_back(byte_of(values[i] * policy.stddev[c] + policy.mean[c]));
  }
  return picture;
}

Shown shown_picture(const Picture& picture, int most_side) {
  const Picture small = shrunk(picture.channels == 4 ? without_alpha(picture) : picture, most_side);
  return {"image/png", simclr::data::png_bytes(small, "the report's picture"), small.width, small.height};
}
