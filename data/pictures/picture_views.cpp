#include "picture_ref.h"

#include <simclr/data/pictures/picture_views.h>

namespace simclr::data {

PictureViews::PictureViews(const kernels::AugmentPolicy& policy) : policy_(policy) {
  kernels::check(policy);
}

Shape PictureViews::view_shape() const {
  return {policy_.size, policy_.size, policy_.channels};
}

std::int32_t PictureViews::make_view(const Sample& sample, const ViewKey& key, std::byte* out) const {
  const kernels::ImageRef picture = picture_ref(sample, policy_.channels, key.sample, "picture views");
  const kernels::AugmentParameters parameters = kernels::draw_augment_parameters(
      policy_, picture.height, picture.width, key.seed, key.sample, key.epoch, key.view);
  auto* const view = reinterpret_cast<float*>(out);
  kernels::dispatch_values(sample.dtype, [&](auto zero) {
    kernels::augment_picture(sample.values<decltype(zero)>().data(), picture, policy_, parameters, view);
  });
  return policy_.size;
}

}  // namespace simclr::data
