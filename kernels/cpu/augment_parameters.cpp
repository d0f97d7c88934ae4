// Compiled with -ffp-contract=off, see shared/augment_parameters.h.
#include <simclr/core/error.h>
#include <simclr/kernels/shared/augment_parameters.h>

namespace simclr::kernels {
namespace {

constexpr std::int32_t largest_view = 4096;

void check_probability(const char* field, float p) {
  SIMCLR_CHECK(p >= 0 && p <= 1, "augment: ", field, " is ", p, ", it must be from 0 to 1");
}

void check_range(const char* field, float min, float max, float low, float high) {
  SIMCLR_CHECK(min >= low && min <= max && max <= high, "augment: ", field, "_min and ", field, "_max are ", min,
               " and ", max, ", they must be ordered and from ", low, " to ", high);
}

void check_strength(const char* field, float strength, float high) {
  SIMCLR_CHECK(strength >= 0 && strength <= high, "augment: ", field, " is ", strength, ", it must be from 0 to ",
               high);
}

}  // namespace

void check(const AugmentPolicy& policy) {
  SIMCLR_CHECK(policy.size >= 1 && policy.size <= largest_view, "augment: size is ", policy.size,
               ", it must be from 1 to ", largest_view);
  SIMCLR_CHECK(policy.channels >= 1 && policy.channels <= most_channels, "augment: channels is ", policy.channels,
               ", views have 1 to ", most_channels);
  check_range("crop_area", policy.crop_area_min, policy.crop_area_max, 1e-6f, 1);
  check_range("crop_aspect", policy.crop_aspect_min, policy.crop_aspect_max, 0.01f, 100);
  SIMCLR_CHECK(policy.interpolation == Interpolation::bilinear || policy.interpolation == Interpolation::bicubic,
               "augment: interpolation is ", static_cast<int>(policy.interpolation),
               ", there are bilinear and bicubic");
  check_probability("flip_probability", policy.flip_probability);
  check_probability("rotation_probability", policy.rotation_probability);
  check_strength("rotation_degrees", policy.rotation_degrees, 360);
  check_probability("jitter_probability", policy.jitter_probability);
  check_strength("brightness", policy.brightness, 100);
  check_strength("contrast", policy.contrast, 100);
  check_strength("saturation", policy.saturation, 100);
  check_strength("hue", policy.hue, 0.5f);
  check_probability("grayscale_probability", policy.grayscale_probability);
  check_probability("blur_probability", policy.blur_probability);
  check_range("blur_sigma", policy.blur_sigma_min, policy.blur_sigma_max, 1e-3f, 1000);
  SIMCLR_CHECK(policy.blur_kernel == 0 || policy.blur_kernel == whole_kernel ||
                   (policy.blur_kernel > 0 && policy.blur_kernel % 2 == 1),
               "augment: blur_kernel is ", policy.blur_kernel,
               ", it must be odd, 0 for a tenth of the view, or -1 for the whole kernel");
  SIMCLR_CHECK(policy.blur_kernel <= policy.size, "augment: blur_kernel is ", policy.blur_kernel,
               ", wider than the view of ", policy.size, " pixels");
  for (int c = 0; c < policy.channels; ++c) {
    SIMCLR_CHECK(std::isfinite(policy.mean[c]), "augment: mean[", c, "] is ", policy.mean[c], ", it must be finite");
    SIMCLR_CHECK(std::isfinite(policy.stddev[c]) && policy.stddev[c] > 0, "augment: stddev[", c, "] is ",
                 policy.stddev[c], ", it must be above 0");
  }
}

AugmentParameters draw_augment_parameters(const AugmentPolicy& policy, std::int32_t height, std::int32_t width,
                                          std::uint64_t seed, std::uint32_t sample, std::uint32_t epoch,
                                          std::uint32_t view) {
  SIMCLR_CHECK(height >= 1 && width >= 1, "augment: sample ", sample, " is ", height, " x ", width,
               " pixels, a picture has at least one");
  return draw_parameters(policy, height, width, Random(seed, RandomPurpose::augmentation, sample, epoch, view));
}

}  // namespace simclr::kernels
