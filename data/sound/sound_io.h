#pragma once

#include <simclr/core/export.h>
#include <simclr/data/field_list.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace simclr::data {

/// A recording in memory: one channel, 1 is full scale.
struct Sound {
  std::int32_t rate = 0;  // samples a second
  std::vector<float> samples = {};
  std::string warning = {};  // of one that can be used although its file is damaged: one line, opened by its name
};

/// What a file's header says.
struct SoundInfo {
  std::int64_t frames = 0;  // samples of each channel; of an MP3 without a count an estimate; -1: it says nothing
  std::int32_t rate = 0;    // frames a second
  std::int32_t channels = 0;

  /// -1 where it says nothing.
  double seconds() const { return frames < 0 ? -1.0 : static_cast<double>(frames) / rate; }
};

/// A part of a recording, in seconds from its beginning: what begins in [begin, end).
using SoundSegment = TimeRange;

/// What is read: frames a second; frames of one call, before and behind resampling; channels; and how far beyond full
/// scale a file of floating-point numbers may go.
inline constexpr std::int32_t min_sound_rate = 1'000, max_sound_rate = 1'000'000;
inline constexpr std::int64_t max_sound_frames = std::int64_t{1} << 28;
inline constexpr std::int32_t max_sound_channels = 256;
inline constexpr float max_sound_level = 100.0f;

/// Reads a recording, or a segment of it, of the kinds in read_sound_kinds(), told by its bytes. Channels become one,
/// their mean. Integers are divided by their full scale, so that samples lie in [-1,1]; floating-point numbers, and
/// what MP3, Vorbis and Opus decode to, may go a little beyond. `rate` in Hz: the recording is resampled to it
/// (resample_sound()); 0: its own. Of a segment only itself is decoded, but for MP3, whose beginning is decoded and
/// dropped; where it ends behind the recording, it ends with it.
///
/// Memory is taken for what is decoded, not for what a header promises. A damaged MP3 gives what is there, with a
/// warning, and so does one that holds more than its header lets estimate. Of a damaged OGG what stands before the
/// damage may be all that is seen, without a word. Throws Error, one line that names the file, for what is missing,
/// empty or of another kind, damaged or cut off, without samples, beyond the limits above, for samples that are NaN,
/// infinite or above max_sound_level, and for a segment that begins behind the end. Thread-safe.
SIMCLR_API Sound read_sound(const std::string& path, std::int32_t rate = 0, const SoundSegment& segment = {});

/// The same of a file's bytes in memory; `name` stands for it in messages.
SIMCLR_API Sound decode_sound(std::span<const std::uint8_t> bytes, const std::string& name, std::int32_t rate = 0,
                              const SoundSegment& segment = {});

/// What the header of a recording says; nothing is decoded. Throws Error as read_sound() does.
SIMCLR_API SoundInfo look_at_sound(const std::string& path);
SIMCLR_API SoundInfo look_at_sound(std::span<const std::uint8_t> bytes, const std::string& name);

/// Samples at `from` Hz as samples at `to` Hz: ceil(n to / from) of them, by libsamplerate's sinc of medium quality,
/// the first in its place. What lies beyond the ends counts as silence. Throws Error for rates outside the limits above
/// or more than 256 times apart, and in a build without libsamplerate unless the rates are equal.
SIMCLR_API std::vector<float> resample_sound(std::vector<float> samples, std::int32_t from, std::int32_t to);

/// Whether this build resamples: whether it has libsamplerate.
SIMCLR_API bool can_resample();

/// The kinds that this build reads: "WAV, FLAC, OGG or MP3", or "WAV": of integers of 8 to 32 bits and floating-point
/// numbers. (OGG holds Vorbis, Opus or FLAC.)
SIMCLR_API std::string read_sound_kinds();

/// Debian's package that a build needs to read files with this ending, "libsndfile1-dev" for ".flac"; empty where this
/// one does, or none could.
SIMCLR_API std::string missing_sound_package(const std::string& ending);

/// Whether a file counts as a recording by its name: .wav, .wave, .flac, .ogg, .oga, .opus and .mp3, in any case, but
/// for those that this build does not read.
SIMCLR_API bool is_sound_name(const std::string& path);

/// What kind of recording begins with these bytes (16 are enough), as an ending: ".wav", ".flac", ".ogg", ".mp3", or
/// ".m4a", ".aiff", ".au", ".wma", ".amr", ".caf", which are not read; empty: none.
SIMCLR_API std::string sound_kind(std::span<const std::uint8_t> bytes);

/// A WAV file of the samples: one channel, 16 bits, rounded, clipped to [-1,1). Throws Error for a rate outside the
/// limits above, and for more samples than such a file can hold.
SIMCLR_API std::vector<std::uint8_t> wav_bytes(std::span<const float> samples, std::int32_t rate);

}  // namespace simclr::data
