#pragma once

// Private: what augmentation takes for a picture and a crop of one, and how it reads a pixel, shared by the CPU and
// CUDA.

#include <simclr/kernels/shared/augment_pixels.h>

#include <string>

namespace simclr::kernels {
inline namespace SIMCLR_TARGET {

/// Whether a picture has at least one pixel, of channels that views of `channels` channels can be made of.
SIMCLR_HOST_DEVICE inline bool is_picture(const ImageRef& picture, std::int32_t channels) {
  return picture.height >= 1 && picture.width >= 1 &&
         (is_colour(channels) ? picture.channels == 1 || picture.channels == 3 || picture.channels == 4
                              : picture.channels == channels);
}

/// The channels that such a picture has, for messages.
inline std::string picture_channels(std::int32_t channels) {
  return is_colour(channels) ? "1, 3 or 4" : std::to_string(channels);
}

/// Whether the crop has at least one pixel and lies inside the picture.
SIMCLR_HOST_DEVICE inline bool crop_fits(const AugmentParameters& p, const ImageRef& picture) {
  return p.crop_height >= 1 && p.crop_width >= 1 && p.crop_top >= 0 && p.crop_left >= 0 &&
         p.crop_top <= picture.height - p.crop_height && p.crop_left <= picture.width - p.crop_width;
}

/// A colour of 0 .. `largest` seen over white, `alpha` from 0 to 1.
SIMCLR_HOST_DEVICE inline Rgb over_white(Rgb colour, float alpha, float largest) {
  const float white = largest * (1.0f - alpha);
  return {alpha * colour.r + white, alpha * colour.g + white, alpha * colour.b + white};
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::kernels
