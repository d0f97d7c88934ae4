#pragma once

#include <simclr/core/export.h>
#include <simclr/data/views.h>

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace simclr::data {

/// Random views of recordings, as samples: segment -> speed -> gain -> noise. Every random number is a function of
/// (seed; sample, epoch, view), see core/random.h. Probabilities in [0,1]; 0 switches a step off. Values are not
/// clipped.
struct SoundPolicy {
  std::int32_t rate = 16000;  // of the recordings, Hz
  double seconds = 0.96;      // of a view (COLA, arXiv 2010.10915)

  // Segment: any of the recording alike. A shorter recording is put into silence, at any place alike, and is not
  // repeated: a word that is said twice is another sound. `keep_short`: it stays at the beginning, and the view ends
  // with it, for encoders that are told lengths. Off (evaluation): `segments` of them, from the recording's beginning
  // to its end at equal distances, of which view v is number v % segments; of one, and of a short recording, the
  // centre.
  bool random_segment = true;
  std::int32_t segments = 1;
  bool keep_short = false;

  // Time shift: the segment moves by up to a share of the view either way, over the recording's ends, beyond which
  // there is silence. Recordings that are shorter than a view are not shifted.
  float shift_probability = 0.5f;
  float shift_share = 0.1f;

  // Speed: factor uniform in [min, max]; 2 plays twice as fast and an octave higher. Interpolated by a windowed sinc.
  float speed_probability = 0.5f;
  float speed_min = 0.9f, speed_max = 1.1f;

  // Gain: uniform in +- so many decibels.
  float gain_probability = 0.8f;
  float gain_db = 6.0f;

  // Noise, one of those that SoundViews has, from any place alike, repeated where it is shorter than a view. The ratio
  // of the mean squares of what the view shows of the recording and of the noise is uniform in [min, max] decibels.
  // Silence stays silent.
  float noise_probability = 0.0f;
  float snr_db_min = 5.0f, snr_db_max = 25.0f;

  /// Samples of a view.
  SIMCLR_API std::int64_t view_samples() const;
  /// The same rate, length and keep_short without randomness.
  SIMCLR_API SoundPolicy evaluation(std::int32_t segments_of_each = 1) const;
};

/// Throws Error when a policy asks for the impossible; names the field.
SIMCLR_API void check(const SoundPolicy& policy);

/// The steps of one view, drawn.
struct SoundParameters {
  std::int64_t begin = 0;   // of the view, in samples of the recording; below 0: silence comes first
  std::int64_t length = 0;  // samples of the view; fewer than view_samples() with keep_short alone
  double speed = 1.0;       // sample t of the view is the recording's at begin + t speed
  float gain = 1.0f;        // a factor
  bool noise = false;
  std::uint32_t noise_sound = 0;  // which
  std::int64_t noise_begin = 0;
  float snr_db = 0.0f;
};

/// Sounds to mix in.
using Noises = std::vector<std::vector<float>>;

/// Draws a view's steps for a recording of so many samples. Slots: 0 segment; 1, 2 shift; 3, 4 speed; 5, 6 gain;
/// 7 to 10 noise; the odd ones whether, but for 9.
SIMCLR_API SoundParameters draw_sound_parameters(const SoundPolicy& policy, std::int64_t samples, const Noises& noises,
                                                 const ViewKey& key);

/// Applies drawn steps to a recording: view [length] f32, written to `out`. Throws Error for a noise that is not there,
/// for one that begins below 0, and where `out` is too short.
SIMCLR_API void augment_sound(std::span<const float> samples, const SoundParameters& parameters, const Noises& noises,
                              std::span<float> out);

/// Random changes of a log-mel spectrogram [frames,mels] f32: warp -> time masks -> mel masks (SpecAugment,
/// arXiv 1904.08779, without its warp of time). A mask hides a number of frames or mels that is uniform from 0 to a
/// share of all, at any place alike: they take the spectrogram's mean.
struct SpectrogramPolicy {
  // Warp of the mel axis, as if another voice spoke (VTLP, Jaitly and Hinton 2013): factor uniform in [1-x, 1+x].
  float warp_probability = 0.5f;
  float warp = 0.1f;

  std::int32_t time_masks = 1, mel_masks = 1;  // at most most_masks
  float time_share = 0.2f, mel_share = 0.2f;   // the most that each hides

  /// A policy that changes nothing.
  static SpectrogramPolicy evaluation() { return {.warp_probability = 0.0f, .time_masks = 0, .mel_masks = 0}; }
};

inline constexpr std::int32_t most_masks = 8;

SIMCLR_API void check(const SpectrogramPolicy& policy);

struct SpectrogramMask {
  std::int32_t begin = 0, count = 0;
};

/// The changes of one view, drawn.
struct SpectrogramParameters {
  float warp = 1.0f;
  std::array<SpectrogramMask, most_masks> time = {}, mel = {};
};

/// Slots: 64, 65 warp; 72 + 2 i, 73 + 2 i time mask i; 96 + 2 i, 97 + 2 i mel mask i. Throws Error as check() does.
SIMCLR_API SpectrogramParameters draw_spectrogram_parameters(const SpectrogramPolicy& policy, std::int32_t frames,
                                                             std::int32_t mels, const ViewKey& key);

/// In place: mel m takes the value at place m factor, interpolated linearly, up to a knee at 0.8 of the axis; from
/// there on places go straight to the last mel, so that the axis' ends stay.
SIMCLR_API void warp_mels(std::span<float> spectrogram, std::int32_t mels, float factor);
SIMCLR_API void mask_frames(std::span<float> spectrogram, std::int32_t mels, const SpectrogramMask& mask, float value);
SIMCLR_API void mask_mels(std::span<float> spectrogram, std::int32_t mels, const SpectrogramMask& mask, float value);

/// All of it, in place. `spectrogram` holds frames of `mels` values, those of a view that is padded without the
/// padding. Throws Error as check() does, and for a size that is no number of frames.
SIMCLR_API void augment_spectrogram(std::span<float> spectrogram, std::int32_t mels, const SpectrogramPolicy& policy,
                                    const ViewKey& key);

}  // namespace simclr::data
