#pragma once

// Private: the arithmetic of augmentation for one pixel or one tap, shared by the CPU and CUDA. Branch-free, so that
// loops over pixels vectorise. Conventions are torchvision's for float images in [0,1].

#include <simclr/kernels/augment.h>
#include <simclr/kernels/shared/target.h>

#include <cmath>

namespace simclr::kernels {
inline namespace SIMCLR_TARGET {

struct Rgb {
  float r, g, b;
};

// Spelled for each compiler so that it takes one instruction; they differ only for a NaN, and none comes here.
SIMCLR_HOST_DEVICE inline float lesser(float a, float b) {
#ifdef __CUDA_ARCH__
  return fminf(a, b);
#else
  return a < b ? a : b;
#endif
}
SIMCLR_HOST_DEVICE inline float greater(float a, float b) {
#ifdef __CUDA_ARCH__
  return fmaxf(a, b);
#else
  return a > b ? a : b;
#endif
}
SIMCLR_HOST_DEVICE inline float clip(float x) {
#ifdef __CUDA_ARCH__
  return __saturatef(x);
#else
  return lesser(greater(x, 0.0f), 1.0f);
#endif
}

/// The grey that contrast, saturation and grayscale use: torchvision's weights, which sum to 0.9999.
SIMCLR_HOST_DEVICE inline float grey(Rgb p) {
  return 0.2989f * p.r + 0.587f * p.g + 0.114f * p.b;
}

/// The luma of a colour picture seen through a grey view: the weights of grey files, which keep white white.
SIMCLR_HOST_DEVICE inline float luma(Rgb p) {
  return 0.299f * p.r + 0.587f * p.g + 0.114f * p.b;
}

/// factor * x + (1 - factor) * base, clipped: brightness (base 0), contrast (mean grey), saturation (own grey).
SIMCLR_HOST_DEVICE inline float blend(float x, float base, float factor) {
  return clip(factor * x + (1.0f - factor) * base);
}
SIMCLR_HOST_DEVICE inline Rgb blend(Rgb p, float base, float factor) {
  return {blend(p.r, base, factor), blend(p.g, base, factor), blend(p.b, base, factor)};
}

/// The mean grey of a view is a sum of whole numbers, which no order of summation changes.
constexpr float grey_units = 1 << 20;
SIMCLR_HOST_DEVICE inline std::int32_t to_grey_units(float x) {
  return static_cast<std::int32_t>(x * grey_units + 0.5f);
}
/// Of a view of size x size pixels, from the sum over all of them.
SIMCLR_HOST_DEVICE inline float mean_of_grey_units(std::int64_t sum, std::int32_t size) {
  const double pixels = static_cast<double>(size) * static_cast<double>(size);
  return static_cast<float>(static_cast<double>(sum) / (pixels * static_cast<double>(grey_units)));
}

/// A view's value as the encoder sees it; `inverse` is 1 / the channel's deviation.
SIMCLR_HOST_DEVICE inline float normalised(float x, float mean, float inverse) {
  return (x - mean) * inverse;
}

/// Turns the hue by `shift` turns (-0.5 .. 0.5) and keeps saturation and value, exactly as HSV defines them. With
/// hue h in [0,6), chroma d and value v, a channel is v - d clip(min(k, 4 - k)), k = (n + h) mod 6, n = 5, 3, 1.
SIMCLR_HOST_DEVICE inline Rgb shift_hue(Rgb p, float shift) {
  const float v = greater(p.r, greater(p.g, p.b));
  const float d = v - lesser(p.r, lesser(p.g, p.b));
  const float inverse = 1.0f / (d > 0.0f ? d : 1.0f);  // a grey pixel has d = 0: any hue will do
  const float from_blue = 4.0f + (p.r - p.g) * inverse;
  const float from_green = 2.0f + (p.b - p.r) * inverse;
  const float from_red = (p.g - p.b) * inverse;
  const float h = (v == p.r ? from_red : v == p.g ? from_green : from_blue) + 6.0f * shift;  // -4 .. 8
  const auto channel = [&](float n) {
    float k = h + n;
    k -= k >= 6.0f ? 6.0f : 0.0f;
    k -= k >= 6.0f ? 6.0f : 0.0f;
    k += k < 0.0f ? 6.0f : 0.0f;
    return v - d * clip(lesser(k, 4.0f - k));
  };
  return {channel(5.0f), channel(3.0f), channel(1.0f)};
}

/// Resizing n source pixels to S: position i takes taps first .. first + count - 1, weighted by `filter` around
/// `center` (source pixels, 0 at the left edge) and normalised to sum 1. Shrinking widens the filter (antialias).
struct ResizeAxis {
  float scale, support, inverse;  // source pixels a target pixel; half width of the filter; 1 / its stretch
  std::int32_t n, taps;           // source pixels; no position has more taps than this
  Interpolation interpolation;

  SIMCLR_HOST_DEVICE ResizeAxis(std::int32_t source, std::int32_t target, Interpolation kind)
      : scale(static_cast<float>(source) / static_cast<float>(target)), n(source), interpolation(kind) {
    const float stretch = greater(scale, 1.0f);
    support = (kind == Interpolation::bicubic ? 2.0f : 1.0f) * stretch;
    inverse = 1.0f / stretch;
    const auto wanted = static_cast<std::int32_t>(ceilf(2.0f * support));
    taps = wanted < n ? wanted : n;
  }

  SIMCLR_HOST_DEVICE float center(std::int32_t i) const { return scale * (static_cast<float>(i) + 0.5f); }

  /// The first tap, at most n - taps, so that all `taps` are inside; those beyond the filter weigh 0. Call it once
  /// a position and keep the result: where it rounds up or down may differ between two places in the code.
  SIMCLR_HOST_DEVICE std::int32_t first(std::int32_t i) const {
    const float low = center(i) - support + 0.5f;
    const auto tap = static_cast<std::int32_t>(greater(low, 0.0f));
    return tap < n - taps ? tap : n - taps;
  }

  /// The filter at a tap, before normalisation.
  SIMCLR_HOST_DEVICE float weight(std::int32_t i, std::int32_t tap) const {
    const float x = fabsf((static_cast<float>(tap) + 0.5f - center(i)) * inverse);
    if (interpolation == Interpolation::bilinear) return greater(1.0f - x, 0.0f);
    constexpr float a = -0.5f;  // Keys' cubic
    if (x < 1.0f) return ((a + 2.0f) * x - (a + 3.0f)) * x * x + 1.0f;
    if (x < 2.0f) return ((a * x - 5.0f * a) * x + 8.0f * a) * x - 4.0f * a;
    return 0.0f;
  }
};

/// Turning a view about its centre: which four pixels make one. In double, for in f32 a coordinate would be exact only
/// to the view's size times 2^-24, and where the turned view ends, all of a pixel's value hangs on its coordinate.
struct Rotation {
  double cosine, sine, half;

  struct Source {
    std::int32_t x, y;  // the upper left one of the four
    float fx, fy;       // the share of those to the right, and of those below
  };

  SIMCLR_HOST_DEVICE Rotation(float degrees, std::int32_t size) : half(0.5 * (size - 1)) {
#ifdef __CUDA_ARCH__
    sincospi(degrees / 180.0, &sine, &cosine);
#else
    const double radians = degrees * (3.14159265358979323846 / 180.0);
    cosine = cos(radians), sine = sin(radians);
#endif
  }

  SIMCLR_HOST_DEVICE Source source(std::int32_t row, std::int32_t column) const {
    const double dx = column - half, dy = row - half;
    const double x = cosine * dx - sine * dy + half, y = sine * dx + cosine * dy + half;
    const double left = floor(x), top = floor(y);
    return {static_cast<std::int32_t>(left), static_cast<std::int32_t>(top), static_cast<float>(x - left),
            static_cast<float>(y - top)};
  }
};

/// Radius in pixels of a view's blur: the policy's, less where further taps would weigh under 2e-8 of the middle.
SIMCLR_HOST_DEVICE inline std::int32_t blur_radius(const AugmentPolicy& policy, float sigma) {
  const std::int32_t taps = policy.blur_kernel == whole_kernel ? policy.size
                            : policy.blur_kernel > 0           ? policy.blur_kernel
                                                               : policy.size / 10;
  const std::int32_t full = taps / 2;
  const auto useful = static_cast<std::int32_t>(ceilf(6.0f * sigma));
  return useful < full ? useful : full;
}

/// Weight of the blur at a distance, before normalisation.
SIMCLR_HOST_DEVICE inline float blur_weight(std::int32_t distance, float sigma) {
  const float x = static_cast<float>(distance) / sigma;
  return expf(-0.5f * x * x);
}

/// Which pixel a blur reads for index i of n. Repeated: the first or the last one. Else mirrored about these, which are
/// not repeated; valid within n - 1 of either.
SIMCLR_HOST_DEVICE inline std::int32_t blur_source(std::int32_t i, std::int32_t n, bool repeated) {
  if (repeated) return i < 0 ? 0 : i < n ? i : n - 1;
  i = i < 0 ? -i : i;
  return i < n ? i : 2 * (n - 1) - i;
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::kernels
