#pragma once

// Private: what augmentation takes for a picture and a crop of one, and how it reads a pixel, shared by the CPU and
// CUDA.

#include <simclr/kernels/shared/augment_pixels.h>

namespace simclr::kernels {
inline namespace SIMCLR_TARGET {

/// Whether a picture has at least one pixel, of grey, colour or colour and alpha.
SIMCLR_HOST_DEVICE inline bool is_picture(const ImageRef& picture) {
  return picture.height >= 1 && picture.width >= 1 &&
         (picture.channels == 1 || picture.channels == 3 || picture.channels == 4);
}

/// Whether the crop has at least one pixel and lies inside the picture.
SIMCLR_HOST_DEVICE inline bool crop_fits(const AugmentParameters& p, const ImageRef& picture) {
  return p.crop_height >= 1 && p.crop_width >= 1 && p.crop_top >= 0 && p.crop_left >= 0 &&
         p.crop_top <= picture.height - p.crop_height && p.crop_left <= picture.width - p.crop_width;
}

/// A colour of 0 .. 255 seen over white, `alpha` from 0 to 1.
SIMCLR_HOST_DEVICE inline Rgb over_white(Rgb colour, float alpha) {
  const float white = 255.0f * (1.0f - alpha);
  return {alpha * colour.r + white, alpha * colour.g + white, alpha * colour.b + white};
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::kernels
