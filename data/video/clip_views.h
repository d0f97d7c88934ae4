#pragma once

#include <simclr/data/pictures/augmentation.h>
#include <simclr/data/views.h>

#include <cstdint>

namespace simclr::data {

/// Which frames of a clip a view has.
struct ClipTimes {
  std::int32_t frames = 8;  // T of a view
  std::int32_t stride = 1;  // of the clip's frames every so many
  /// 0: begins at a random frame. Else as many views in one, evenly spread over the clip: what evaluation sees.
  std::int32_t spread = 0;
  /// A frame is what changes up to the next of the clip, about grey: pixels of [0,1] become 0.5 + half the difference.
  /// Of a camera that stands still only what moves is seen.
  bool differences = false;

  /// Frames of a clip from the first that a view reads to the last.
  std::int64_t span() const { return std::int64_t{frames - 1 + (differences ? 1 : 0)} * stride + 1; }
};

/// Views of clips by SimCLR's augmentation: the same crop, flip, jitter, grayscale and blur for all frames of a view,
/// drawn once. A sample is all frames of a clip, u8, u16 or f32 [frames,height,width,channels] with the channels that
/// kernels/augment.h takes for views of C, or a clip's path, u8 [bytes], of which only the view's frames are read
/// (clip_io.h). Where a clip ends before a view does, its last frame stays. A view is [T,S,S,C]; spread it is
/// [spread,T,S,S,C].
class SIMCLR_API ClipViews final : public ViewMaker {
 public:
  /// Throws Error for an impossible policy, and for times that are not possible.
  ClipViews(const Augmentation& policy, const ClipTimes& times);

  Shape view_shape() const override;
  /// Throws Error for another sample, a clip that cannot be read, and values that are NaN or infinite.
  std::int32_t make_view(const Sample& sample, const ViewKey& key, std::byte* out) const override;

 private:
  Augmentation policy_;
  ClipTimes times_;
};

}  // namespace simclr::data
