#include "sound_decoder.h"

#include <simclr/core/error.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace simclr::data {
namespace {

#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
constexpr std::int64_t most_frames = std::int64_t{1} << 20;  // more would only be slow
#else
constexpr std::int64_t most_frames = max_sound_frames;
#endif

void check_rate(std::int64_t rate, const std::string& name) {
  SIMCLR_CHECK(rate >= min_sound_rate && rate <= max_sound_rate, name, ": ", rate, " samples a second, ",
               min_sound_rate, " to ", max_sound_rate, " are possible");
}

/// Whose header is checked.
std::unique_ptr<SoundDecoder> open(const FileBytes& bytes) {
  std::array<std::uint8_t, 16> room{};
  const std::string kind = sound_kind(start_of(bytes, room, "recording"));
  SIMCLR_CHECK(is_sound_name("x" + kind) || !missing_sound_package(kind).empty(), bytes.name, ": no ",
               read_sound_kinds(), " recording by its content", kind.empty() ? "" : " but " + kind, "; convert it");
  std::unique_ptr<SoundDecoder> decoder;
  if (kind == ".wav") decoder = open_plain_wav(bytes);
  if (!decoder) decoder = open_by_library(bytes, kind);
  const SoundInfo& info = decoder->info();
  check_rate(info.rate, bytes.name);
  SIMCLR_CHECK(info.channels >= 1 && info.channels <= max_sound_channels, bytes.name, ": ", info.channels,
               " channels, 1 to ", max_sound_channels, " are possible");
  SIMCLR_CHECK(info.frames != 0, bytes.name, ": a recording without a sample");
  return decoder;
}

/// Where a time lies, in frames; of what is no exact frame the next.
std::int64_t frame_of(double seconds, std::int32_t rate) {
  constexpr double rounding = 1e-6;  // of times that are written in decimals
  return static_cast<std::int64_t>(std::ceil(std::min(seconds * rate, 9e15) - rounding));
}

/// Frames of a segment, those that the header says to be there.
struct Range {
  std::int64_t begin = 0, count = 0;
};

Range range_of(const SoundSegment& segment, const SoundInfo& info, const std::string& name) {
  SIMCLR_CHECK(segment.begin >= 0.0 && segment.end > segment.begin, name, ": a segment from ", segment.begin, " to ",
               segment.end, " s; it begins at 0 or later and ends behind its beginning");
  Range range{.begin = frame_of(segment.begin, info.rate)};
  SIMCLR_CHECK(info.frames < 0 || range.begin < info.frames, name, ": a segment from ", segment.begin,
               " s on, but the recording ends at ", info.seconds(), " s");
  std::int64_t end = frame_of(segment.end, info.rate);
  if (info.frames >= 0) end = std::min(end, info.frames);
  range.count = std::max<std::int64_t>(end - range.begin, 1);
  SIMCLR_CHECK(info.frames < 0 || range.count <= most_frames, name, ": ", range.count, " samples, at most ",
               most_frames, " are read at once; name segments of it (start and end in a list), or cut it");
  return range;
}

/// The mean of each frame's channels, at the end of `samples`.
void add_mean(std::span<const float> frames, std::int32_t channels, std::vector<float>& samples,
              const std::string& name) {
  for (std::size_t i = 0; i < frames.size(); i += static_cast<std::size_t>(channels)) {
    double sum = 0.0;
    for (std::int32_t c = 0; c < channels; ++c) sum += frames[i + static_cast<std::size_t>(c)];
    const auto mean = static_cast<float>(sum / channels);
    SIMCLR_CHECK(std::isfinite(mean), name, ": sample ", samples.size(), " is ", mean,
                 "; write the recording again without such values");
    SIMCLR_CHECK(std::abs(mean) <= max_sound_level, name, ": sample ", samples.size(), " is ", mean,
                 ", and 1 is full scale; divide by what full scale is, 32768 of 16 bits");
    samples.push_back(mean);
  }
}

/// Compares what was read, so many frames, with what the header says. Returns a warning, or nothing.
std::string problem_of(const SoundDecoder& decoder, const Range& range, std::int64_t done, const SoundSegment& segment,
                       const std::string& name) {
  const SoundInfo& info = decoder.info();
  SIMCLR_CHECK(done > 0 || range.begin == 0, name, ": the recording ends before ", segment.begin,
               " s, where a segment begins");
  std::ostringstream problem;
  if (done < range.count && info.frames > 0) {
    problem << name << (decoder.counts() ? ": its header says " : ": by its header it has about ") << info.frames
            << " samples, but only " << range.begin + done << " can be read; a damaged copy?";
    SIMCLR_CHECK(!decoder.counts() && done > 0, problem.str());
  } else if (range.begin + done == info.frames && decoder.bytes_behind() > 0) {
    problem << name << ": by its header it has about " << info.frames << " samples, and the " << decoder.bytes_behind()
            << " bytes behind them are not read; write it with a count: ffmpeg -i " << name << " -c copy NEW.mp3";
  }
  SIMCLR_CHECK(done > 0, name, ": a recording without a sample");
  return problem.str();
}

Sound decode(const FileBytes& bytes, std::int32_t rate, const SoundSegment& segment) {
  if (rate != 0) check_rate(rate, bytes.name);
  const std::unique_ptr<SoundDecoder> decoder = open(bytes);
  const SoundInfo info = decoder->info();
  const Range range = range_of(segment, info, bytes.name);
  if (range.begin > 0) decoder->seek(range.begin);
  Sound sound{.rate = info.rate};
  constexpr std::int64_t block = 1 << 14;  // frames
  std::vector<float> frames(static_cast<std::size_t>(std::min(block, range.count) * info.channels));
  std::int64_t done = 0;
  // Not a frame more than the header says: libsndfile would take what lies behind them, such as a tag, for damage.
  while (done < range.count) {
    frames.resize(static_cast<std::size_t>(std::min(block, range.count - done) * info.channels));
    const std::int64_t count = decoder->read(frames);
    if (count == 0) break;
    add_mean({frames.data(), static_cast<std::size_t>(count * info.channels)}, info.channels, sound.samples,
             bytes.name);
    done += count;
    SIMCLR_CHECK(done <= most_frames, bytes.name, ": more than ", most_frames,
                 " samples, which are not read at once; cut it");
  }
  sound.warning = problem_of(*decoder, range, done, segment, bytes.name);
  if (rate == 0 || rate == info.rate) return sound;
  try {
    sound.samples = resample_sound(std::move(sound.samples), info.rate, rate);
  } catch (const Error& error) {
    fail(bytes.name, ": ", error.what());
  }
  sound.rate = rate;
  return sound;
}

}  // namespace

Sound read_sound(const std::string& path, std::int32_t rate, const SoundSegment& segment) {
  return decode(bytes_of(std::make_shared<const OpenFile>(path, "recording")), rate, segment);
}

Sound decode_sound(std::span<const std::uint8_t> bytes, const std::string& name, std::int32_t rate,
                   const SoundSegment& segment) {
  return decode(bytes_of(bytes, name), rate, segment);
}

SoundInfo look_at_sound(const std::string& path) {
  const FileBytes bytes = bytes_of(std::make_shared<const OpenFile>(path, "recording"));
  return open(bytes)->info();
}

SoundInfo look_at_sound(std::span<const std::uint8_t> bytes, const std::string& name) {
  const FileBytes source = bytes_of(bytes, name);
  return open(source)->info();
}

}  // namespace simclr::data
