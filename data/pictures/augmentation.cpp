#include <simclr/data/pictures/augmentation.h>

namespace simclr::data {
namespace {

/// The paper's colour jitter: 0.8 s for brightness, contrast and saturation, 0.2 s for hue.
void set_jitter(Augmentation& policy, float s) {
  policy.brightness = policy.contrast = policy.saturation = 0.8f * s;
  policy.hue = 0.2f * s;
}

}  // namespace

Augmentation Augmentation::simclr(int size) {
  Augmentation policy;
  policy.size = size;
  policy.interpolation = kernels::Interpolation::bicubic;
  set_jitter(policy, 1.0f);
  policy.blur_probability = 0.5f;
  check(policy);
  return policy;
}

Augmentation Augmentation::simclr_cifar() {
  Augmentation policy;
  set_jitter(policy, 0.5f);
  return policy;
}

Augmentation Augmentation::evaluation(int size, int channels) {
  Augmentation policy;
  policy.size = size;
  policy.channels = channels;
  policy = policy.evaluation();
  check(policy);
  return policy;
}

Augmentation Augmentation::evaluation() const {
  Augmentation policy = *this;
  policy.random_crop = false;
  policy.flip_probability = policy.rotation_probability = policy.jitter_probability = 0.0f;
  policy.grayscale_probability = policy.blur_probability = 0.0f;
  return policy;
}

}  // namespace simclr::data
