#pragma once

// Private: the body of draw_augment_parameters, shared by the CPU and CUDA. Include it only from files compiled
// without contraction of a * b + c (-ffp-contract=off; nvcc: -fmad=false): it uses nothing but IEEE +, -, *, / and
// sqrt, so that every device then draws the same bits. No exp or log of a library: those differ.
//
// Slots of Random(seed, augmentation, sample, epoch, view); a slot belongs to its purpose even when unused:
//   4k .. 4k+3   attempt k = 0 .. 9 at a crop: area, aspect, top, left
//   40 flip?     41 rotate?    42 angle        43 jitter?
//   44 order     45 brightness 46 contrast     47 saturation
//   48 hue       49 grey?      50 blur?        51 sigma
//   60 where a view of a clip begins: data/video/clip_views.cpp

#include <simclr/kernels/augment.h>

#include <cmath>

namespace simclr::kernels {

/// log2(x) for x > 0, error under 1e-14; few steps where x is near 1.
SIMCLR_HOST_DEVICE inline double portable_log2(double x) {
  int exponent = 0;
  for (; x > 1.4142135623730951; x *= 0.5) ++exponent;
  for (; x < 0.7071067811865476; x *= 2.0) --exponent;
  const double s = (x - 1) / (x + 1);  // ln x = 2 artanh s, |s| < 0.172
  double series = 0;
  for (int n = 19; n > 0; n -= 2) series = 1.0 / n + s * s * series;
  return exponent + 2 * s * series * 1.4426950408889634;
}

/// 2^y, error under 1e-14 of the value; few steps where y is near 0.
SIMCLR_HOST_DEVICE inline double portable_exp2(double y) {
  double scale = 1;
  for (; y > 0.5; y -= 1) scale *= 2;
  for (; y < -0.5; y += 1) scale *= 0.5;
  const double r = y * 0.6931471805599453;
  double series = 1;
  for (int n = 13; n > 0; --n) series = 1 + r * series / n;
  return scale * series;
}

/// The nearest whole number, for x >= 0, kept in a double so that none overflows.
SIMCLR_HOST_DEVICE inline double round_positive(double x) {
  return floor(x + 0.5);
}

/// The crop of RandomResizedCrop: ten attempts at an area and an aspect ratio, the first that fits is placed
/// uniformly; if none fits, the largest centred box with an allowed aspect ratio.
SIMCLR_HOST_DEVICE inline void draw_crop(const AugmentPolicy& policy, const Random& random, std::int32_t height,
                                         std::int32_t width, AugmentParameters& p) {
  const double area = double{1} * height * width;
  const double area_min = policy.crop_area_min, area_max = policy.crop_area_max;
  const double aspect_min = policy.crop_aspect_min, aspect_max = policy.crop_aspect_max;
  const double log_min = portable_log2(aspect_min), log_max = portable_log2(aspect_max);
  for (std::uint32_t attempt = 0; attempt < 10; ++attempt) {
    const std::uint32_t slot = 4 * attempt;
    const double target = area * (area_min + (area_max - area_min) * random.uniform(slot));
    const double aspect = portable_exp2(log_min + (log_max - log_min) * random.uniform(slot + 1));
    const double w = round_positive(sqrt(target * aspect)), h = round_positive(sqrt(target / aspect));
    if (w >= 1 && w <= width && h >= 1 && h <= height) {
      p.crop_width = static_cast<std::int32_t>(w);
      p.crop_height = static_cast<std::int32_t>(h);
      p.crop_top =
          static_cast<std::int32_t>(random.below(static_cast<std::uint32_t>(height - p.crop_height + 1), slot + 2));
      p.crop_left =
          static_cast<std::int32_t>(random.below(static_cast<std::uint32_t>(width - p.crop_width + 1), slot + 3));
      return;
    }
  }
  p.crop_width = width;
  p.crop_height = height;
  if (width < height * aspect_min) {
    const double h = round_positive(width / aspect_min);
    p.crop_height = h < 1 ? 1 : static_cast<std::int32_t>(h);
  } else if (width > height * aspect_max) {
    const double w = round_positive(height * aspect_max);
    p.crop_width = w < 1 ? 1 : static_cast<std::int32_t>(w);
  }
  p.crop_top = (height - p.crop_height) / 2;
  p.crop_left = (width - p.crop_width) / 2;
}

SIMCLR_HOST_DEVICE inline AugmentParameters draw_parameters(const AugmentPolicy& policy, std::int32_t height,
                                                            std::int32_t width, const Random& random) {
  AugmentParameters p;
  const auto happens = [&](float probability, std::uint32_t slot) {
    return random.uniform(slot) < probability ? 1 : 0;
  };
  const auto between = [&](float low, float high, std::uint32_t slot) {
    return low + (high - low) * random.uniform(slot);
  };
  const auto factor = [&](float strength, std::uint32_t slot) {
    return between(strength < 1 ? 1 - strength : 0.0f, 1 + strength, slot);
  };

  if (policy.random_crop) {
    draw_crop(policy, random, height, width, p);
  } else {
    p.crop_height = p.crop_width = height < width ? height : width;
    p.crop_top = (height - p.crop_height) / 2;
    p.crop_left = (width - p.crop_width) / 2;
  }
  p.flip = happens(policy.flip_probability, 40);
  p.rotate = happens(policy.rotation_probability, 41);
  if (p.rotate) p.angle = between(-policy.rotation_degrees, policy.rotation_degrees, 42);
  p.jitter = happens(policy.jitter_probability, 43);
  if (p.jitter) {
    // One of the 24 orders: digits to base 4, 3, 2 each pick one of the operations that are left.
    std::uint32_t code = random.below(24, 44);
    std::int32_t left[4] = {0, 1, 2, 3};
    for (std::uint32_t i = 0; i < 4; ++i) {
      const std::uint32_t count = 4 - i, pick = code % count;
      code /= count;
      p.order[i] = left[pick];
      for (std::uint32_t j = pick; j + 1 < count; ++j) left[j] = left[j + 1];
    }
    p.brightness = factor(policy.brightness, 45);
    p.contrast = factor(policy.contrast, 46);
    p.saturation = factor(policy.saturation, 47);
    p.hue = between(-policy.hue, policy.hue, 48);
  }
  p.grayscale = happens(policy.grayscale_probability, 49);
  p.blur = happens(policy.blur_probability, 50);
  if (p.blur) p.sigma = between(policy.blur_sigma_min, policy.blur_sigma_max, 51);
  return p;
}

}  // namespace simclr::kernels
