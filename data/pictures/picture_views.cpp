#include <simclr/core/error.h>
#include <simclr/data/pictures/picture_views.h>

namespace simclr::data {

PictureViews::PictureViews(const kernels::AugmentPolicy& policy) : policy_(policy) {
  kernels::check(policy);
}

Shape PictureViews::view_shape() const {
  return {policy_.size, policy_.size, policy_.channels};
}

std::int32_t PictureViews::make_view(const Sample& sample, const ViewKey& key, std::byte* out) const {
  const Shape& shape = sample.shape;
  SIMCLR_CHECK(shape.rank() == 3 && shape.numel() > 0 && (shape[2] == 1 || shape[2] == 3 || shape[2] == 4),
               "picture views: sample ", key.sample, " has shape ", shape,
               ", a picture is [height,width,channels] with 1, 3 or 4 channels");
  const auto pixels = sample.values<std::uint8_t>();
  SIMCLR_CHECK(static_cast<std::int64_t>(pixels.size()) == shape.numel(), "picture views: sample ", key.sample, " has ",
               pixels.size(), " bytes, its shape ", shape, " needs ", shape.numel());
  const kernels::ImageRef picture{.offset = 0,
                                  .height = static_cast<std::int32_t>(shape[0]),
                                  .width = static_cast<std::int32_t>(shape[1]),
                                  .channels = static_cast<std::int32_t>(shape[2]),
                                  .sample = key.sample};
  const kernels::AugmentParameters parameters = kernels::draw_augment_parameters(
      policy_, picture.height, picture.width, key.seed, key.sample, key.epoch, key.view);
  kernels::augment_picture(pixels.data(), picture, policy_, parameters, reinterpret_cast<float*>(out));
  return policy_.size;
}

}  // namespace simclr::data
