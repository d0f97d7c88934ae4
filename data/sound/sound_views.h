#pragma once

#include <simclr/data/sound/sound_augmentation.h>
#include <simclr/data/views.h>

#include <memory>
#include <string>
#include <vector>

namespace simclr::data {

/// Views of recordings, f32 [samples], by a policy: [policy.view_samples()], which a log-mel spectrogram is made of.
class SIMCLR_API SoundViews final : public ViewMaker {
 public:
  /// Throws Error for an impossible policy, and for one that mixes in noise where `noises` has none.
  explicit SoundViews(const SoundPolicy& policy, std::shared_ptr<const Noises> noises = nullptr);

  Shape view_shape() const override;
  /// Throws Error for a sample that is not f32 [samples], or has values that are NaN or infinite.
  std::int32_t make_view(const Sample& sample, const ViewKey& key, std::byte* out) const override;

  const SoundPolicy& policy() const { return policy_; }

 private:
  SoundPolicy policy_;
  std::shared_ptr<const Noises> noises_;
};

/// All recordings of a data set, in memory, to be mixed in. What cannot be read, and what is silent, is left out, with
/// a line in `warnings` each. Throws Error where nothing is left, and for more than 2^28 samples.
SIMCLR_API Noises read_noises(const Dataset& recordings, std::vector<std::string>& warnings);

}  // namespace simclr::data
