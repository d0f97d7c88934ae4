#pragma once

#include <simclr/data/views.h>
#include <simclr/kernels/augment.h>

#include <cstdint>

namespace simclr::data {

/// Views of pictures, u8, u16 or f32 [height,width,channels] with the channels that kernels/augment.h takes for views
/// of C, by SimCLR's augmentation: [S,S,C].
class SIMCLR_API PictureViews final : public ViewMaker {
 public:
  /// Throws Error for an impossible policy. make_view() refuses values that are NaN or infinite.
  explicit PictureViews(const kernels::AugmentPolicy& policy);

  Shape view_shape() const override;
  std::int32_t make_view(const Sample& sample, const ViewKey& key, std::byte* out) const override;

 private:
  kernels::AugmentPolicy policy_;
};

}  // namespace simclr::data
