#pragma once

#include <simclr/kernels/augment.h>

namespace simclr::data {

/// Which random views a training run looks at: the policy's fields, and the recipes by name. Change a recipe
/// field by field:
///   auto policy = Augmentation::simclr_cifar();
///   policy.crop_area_min = 0.2f;
struct Augmentation : kernels::AugmentPolicy {
  /// The paper's policy for photographs (arXiv 2002.05709, appendix A): crops of 8 to 100 % of the area, bicubic;
  /// flip 0.5; jitter of strength 1 with 0.8; grayscale with 0.2; blur with 0.5. Colour views of size x size.
  SIMCLR_API static Augmentation simclr(int size);

  /// The paper's policy for CIFAR (appendix B.9): 32 x 32, jitter of strength 0.5, bilinear, no blur.
  SIMCLR_API static Augmentation simclr_cifar();

  /// No randomness: the largest centred square, resized. Of a picture of the same size, the picture itself.
  SIMCLR_API static Augmentation evaluation(int size, int channels);

  /// The same with this policy's size, channels, interpolation, mean and stddev: what an encoder trained with it
  /// is to be evaluated with.
  SIMCLR_API Augmentation evaluation() const;
};

}  // namespace simclr::data
