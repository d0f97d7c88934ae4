#pragma once

#include <simclr/data/sound/sound_views.h>
#include <simclr/kernels/logmel.h>

#include <memory>

namespace simclr::data {

/// The log-mels that are usual for speech, of recordings at any rate: windows of 25 ms every 10 ms, `mels` of them from
/// 60 Hz to 0.975 of half the rate (7800 Hz of 16 kHz), by the smallest FFT of 2^n samples, from a window's length on,
/// with a bin in each mel. Throws Error for a rate or a number of mels that is not possible.
SIMCLR_API kernels::LogmelOptions usual_logmel(std::int32_t rate, std::int32_t mels);

struct SpectrogramViewOptions {
  SoundPolicy sound = {};
  kernels::LogmelOptions logmel = {};  // at the recordings' rate
  SpectrogramPolicy spectrogram = {};
  bool channel = true;  // views [frames,mels,1], as grey pictures; false: [frames,mels], as sequences
};

/// Views of recordings, f32 [samples], as log-mel spectrograms: SoundViews' view -> kernels/logmel.h -> mean 0 and
/// deviation 1 over all of the view's values -> augment_spectrogram(). A view's length, and what is not padding, are
/// its own frames. So no loudness reaches a model but as what the floor hides; a view of silence is 0 throughout.
class SIMCLR_API SpectrogramViews final : public ViewMaker {
 public:
  /// Throws Error as SoundViews and logmel_plan() do, and for log-mels of another rate.
  explicit SpectrogramViews(const SpectrogramViewOptions& options, std::shared_ptr<const Noises> noises = nullptr);

  Shape view_shape() const override;
  /// Throws Error as SoundViews does.
  std::int32_t make_view(const Sample& sample, const ViewKey& key, std::byte* out) const override;

  const SpectrogramViewOptions& options() const { return options_; }

 private:
  SpectrogramViewOptions options_;
  SoundViews sound_;
  kernels::LogmelPlan plan_;
};

}  // namespace simclr::data
