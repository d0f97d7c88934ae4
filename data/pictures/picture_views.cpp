#include <simclr/core/error.h>
#include <simclr/data/pictures/picture_views.h>

namespace simclr::data {

PictureViews::PictureViews(const kernels::AugmentPolicy& policy) : policy_(policy) {
  kernels::check(policy);
}

Shape PictureViews::view_shape() const {
  return {policy_.size, policy_.size, policy_.channels};
}

void PictureViews::make_view(const Sample& sample, std::uint64_t seed, std::uint32_t sample_id, std::uint32_t epoch,
                             std::uint32_t view, float* out) const {
  const Shape& shape = sample.shape;
  SIMCLR_CHECK(shape.rank() == 3 && shape.numel() > 0 && (shape[2] == 1 || shape[2] == 3 || shape[2] == 4),
               "picture views: sample ", sample_id, " has shape ", shape,
               ", a picture is [height,width,channels] with 1, 3 or 4 channels");
  SIMCLR_CHECK(static_cast<std::int64_t>(sample.bytes.size()) == shape.numel(), "picture views: sample ", sample_id,
               " has ", sample.bytes.size(), " bytes, its shape ", shape, " needs ", shape.numel());
  const kernels::ImageRef picture{.offset = 0,
                                  .height = static_cast<std::int32_t>(shape[0]),
                                  .width = static_cast<std::int32_t>(shape[1]),
                                  .channels = static_cast<std::int32_t>(shape[2]),
                                  .sample = sample_id};
  const kernels::AugmentParameters parameters =
      kernels::draw_augment_parameters(policy_, picture.height, picture.width, seed, sample_id, epoch, view);
  kernels::augment_picture(sample.bytes.data(), picture, policy_, parameters, out);
}

}  // namespace simclr::data
