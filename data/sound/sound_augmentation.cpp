#include <simclr/core/error.h>
#include <simclr/core/random.h>
#include <simclr/data/sound/sound_augmentation.h>
#include <simclr/data/sound/sound_io.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string_view>

namespace simclr::data {
namespace {

constexpr int zero_crossings = 12;  // of the sinc, to each side
constexpr int table_steps = 256;    // between two of them

/// sin(pi x) / (pi x) times a bell (Blackman's) that ends at x = zero_crossings, at multiples of 1 / table_steps.
const std::vector<float>& sinc_table() {
  static const std::vector<float> table = [] {
    std::vector<float> values(zero_crossings * table_steps + 2, 0.0f);
    for (int i = 0; i < zero_crossings * table_steps; ++i) {
      const double x = static_cast<double>(i) / table_steps, phase = std::numbers::pi * x;
      const double bell = 0.42 + 0.5 * std::cos(phase / zero_crossings) + 0.08 * std::cos(2 * phase / zero_crossings);
      values[static_cast<std::size_t>(i)] = static_cast<float>(bell * (i == 0 ? 1.0 : std::sin(phase) / phase));
    }
    return values;
  }();
  return table;
}

/// The recording between its samples, at `place`; what is faster than it can be played at `speed` is filtered out.
float value_at(std::span<const float> samples, double place, double speed) {
  const std::vector<float>& table = sinc_table();
  const double band = std::min(1.0, 1.0 / speed), reach = zero_crossings / band;
  const auto first = std::max<std::int64_t>(static_cast<std::int64_t>(std::ceil(place - reach)), 0);
  const auto last =
      std::min<std::int64_t>(static_cast<std::int64_t>(std::floor(place + reach)), std::ssize(samples) - 1);
  double sum = 0.0;
  for (std::int64_t i = first; i <= last; ++i) {
    const double x = std::abs(static_cast<double>(i) - place) * band * table_steps;
    const auto at = std::min(static_cast<std::size_t>(x), table.size() - 2);
    const double share = x - static_cast<double>(at);
    sum += samples[static_cast<std::size_t>(i)] * ((1.0 - share) * table[at] + share * table[at + 1]);
  }
  return static_cast<float>(sum * band);
}

double mean_square(std::span<const float> values) {
  double sum = 0.0;
  for (const float value : values) sum += double{value} * value;
  return values.empty() ? 0.0 : sum / static_cast<double>(values.size());
}

/// Adds noise so that it is `snr_db` below what `shown` holds, a part of `out`.
void add_noise(const std::vector<float>& noise, std::int64_t begin, float snr_db, std::span<const float> shown,
               std::span<float> out) {
  std::vector<float> part;
  for (std::int64_t t = 0; t < std::ssize(out); ++t) {
    part.push_back(noise[static_cast<std::size_t>((begin + t) % std::ssize(noise))]);
  }
  const double loud = mean_square(part);
  if (loud == 0.0) return;
  const double factor = std::sqrt(mean_square(shown) / loud * std::pow(10.0, -snr_db / 10.0));
  for (std::size_t t = 0; t < out.size(); ++t) out[t] += static_cast<float>(factor * part[t]);
}

float between(float low, float high, float share) {
  return low + (high - low) * share;
}

void check_range(const char* policy, std::string_view field, double value, double least, double most) {
  SIMCLR_CHECK(value >= least && value <= most, policy, ": ", field, " is ", value, ", ", least, " to ", most,
               " is possible");
}

Random numbers_of(const ViewKey& key) {
  return {key.seed, RandomPurpose::augmentation, key.sample, key.epoch, key.view};
}

/// Uniform from 0 to `most`.
std::int64_t up_to(const Random& random, std::int64_t most, std::uint32_t slot) {
  return random.below(static_cast<std::uint32_t>(most + 1), slot);
}

/// Where the view begins, before a shift, if the recording is `slack` samples longer than it.
std::int64_t begin_of(const SoundPolicy& policy, std::int64_t slack, const Random& random, std::uint32_t view) {
  if (policy.random_segment) return slack >= 0 ? up_to(random, slack, 0) : -up_to(random, -slack, 0);
  if (slack < 0 || policy.segments == 1) return slack / 2;
  return slack * static_cast<std::int64_t>(view % static_cast<std::uint32_t>(policy.segments)) / (policy.segments - 1);
}

SpectrogramMask draw_mask(const Random& random, std::int32_t size, float share, std::uint32_t slot) {
  const auto most = static_cast<std::int64_t>(share * static_cast<float>(size));
  const std::int64_t count = up_to(random, most, slot);
  return {.begin = static_cast<std::int32_t>(up_to(random, size - count, slot + 1)),
          .count = static_cast<std::int32_t>(count)};
}

}  // namespace

std::int64_t SoundPolicy::view_samples() const {
  return std::llround(seconds * rate);
}

SoundPolicy SoundPolicy::evaluation(std::int32_t segments_of_each) const {
  return {.rate = rate,
          .seconds = seconds,
          .random_segment = false,
          .segments = segments_of_each,
          .keep_short = keep_short,
          .shift_probability = 0.0f,
          .speed_probability = 0.0f,
          .gain_probability = 0.0f,
          .noise_probability = 0.0f};
}

void check(const SoundPolicy& policy) {
  const char* const who = "sound policy";
  check_range(who, "rate", policy.rate, min_sound_rate, max_sound_rate);
  check_range(who, "seconds", policy.seconds, 0.01, 600.0);
  check_range(who, "segments", policy.segments, 1, 1000);
  check_range(who, "shift_probability", policy.shift_probability, 0.0, 1.0);
  check_range(who, "shift_share", policy.shift_share, 0.0, 0.5);
  check_range(who, "speed_probability", policy.speed_probability, 0.0, 1.0);
  check_range(who, "speed_min", policy.speed_min, 0.25, 4.0);
  check_range(who, "speed_max", policy.speed_max, policy.speed_min, 4.0);
  check_range(who, "gain_probability", policy.gain_probability, 0.0, 1.0);
  check_range(who, "gain_db", policy.gain_db, 0.0, 60.0);
  check_range(who, "noise_probability", policy.noise_probability, 0.0, 1.0);
  check_range(who, "snr_db_min", policy.snr_db_min, -60.0, 120.0);
  check_range(who, "snr_db_max", policy.snr_db_max, policy.snr_db_min, 120.0);
}

SoundParameters draw_sound_parameters(const SoundPolicy& policy, std::int64_t samples, const Noises& noises,
                                      const ViewKey& key) {
  const Random random = numbers_of(key);
  SoundParameters drawn{.length = policy.view_samples()};
  if (random.uniform(3) < policy.speed_probability) {
    drawn.speed = between(policy.speed_min, policy.speed_max, random.uniform(4));
  }
  const std::int64_t slack = samples - std::llround(static_cast<double>(drawn.length) * drawn.speed);
  if (slack < 0 && policy.keep_short) {
    drawn.length = std::clamp<std::int64_t>(std::llround(static_cast<double>(samples) / drawn.speed), 1, drawn.length);
  } else {
    drawn.begin = begin_of(policy, slack, random, key.view);
  }
  if (slack >= 0 && random.uniform(1) < policy.shift_probability) {
    drawn.begin +=
        std::llround(double{policy.shift_share} * static_cast<double>(drawn.length) * (2.0 * random.uniform(2) - 1.0));
  }
  if (random.uniform(5) < policy.gain_probability) {
    drawn.gain = std::pow(10.0f, between(-policy.gain_db, policy.gain_db, random.uniform(6)) / 20.0f);
  }
  if (!noises.empty() && random.uniform(7) < policy.noise_probability) {
    drawn.noise = true;
    drawn.noise_sound = random.below(static_cast<std::uint32_t>(noises.size()), 8);
    const std::int64_t spare = std::ssize(noises[drawn.noise_sound]) - drawn.length;
    drawn.noise_begin = up_to(random, spare >= 0 ? spare : std::ssize(noises[drawn.noise_sound]) - 1, 9);
    drawn.snr_db = between(policy.snr_db_min, policy.snr_db_max, random.uniform(10));
  }
  return drawn;
}

void augment_sound(std::span<const float> samples, const SoundParameters& parameters, const Noises& noises,
                   std::span<float> out) {
  const std::int64_t length = parameters.length, count = std::ssize(samples);
  SIMCLR_CHECK(length >= 0 && length <= std::ssize(out), "augment_sound: a view of ", length, " samples, and room for ",
               out.size());
  // What of the view shows the recording.
  const double speed = parameters.speed;
  const auto first = std::clamp<std::int64_t>(
      static_cast<std::int64_t>(std::ceil(static_cast<double>(-parameters.begin) / speed)), 0, length);
  const auto last = std::clamp<std::int64_t>(
      static_cast<std::int64_t>(std::floor(static_cast<double>(count - 1 - parameters.begin) / speed)) + 1, first,
      length);
  std::fill_n(out.begin(), length, 0.0f);
  for (std::int64_t t = first; t < last; ++t) {
    const double place = static_cast<double>(parameters.begin) + static_cast<double>(t) * speed;
    const float value =
        speed == 1.0 ? samples[static_cast<std::size_t>(parameters.begin + t)] : value_at(samples, place, speed);
    out[static_cast<std::size_t>(t)] = value * parameters.gain;
  }
  if (!parameters.noise) return;
  SIMCLR_CHECK(parameters.noise_begin >= 0, "augment_sound: noise_begin is ", parameters.noise_begin,
               ", it must be 0 or more");
  SIMCLR_CHECK(parameters.noise_sound < noises.size() && !noises[parameters.noise_sound].empty(),
               "augment_sound: noise ", parameters.noise_sound, " of ", noises.size(), " is not there");
  const auto shown = out.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(last - first));
  add_noise(noises[parameters.noise_sound], parameters.noise_begin, parameters.snr_db, shown,
            out.first(static_cast<std::size_t>(length)));
}

void check(const SpectrogramPolicy& policy) {
  const char* const who = "spectrogram policy";
  check_range(who, "warp_probability", policy.warp_probability, 0.0, 1.0);
  check_range(who, "warp", policy.warp, 0.0, 0.5);
  check_range(who, "time_masks", policy.time_masks, 0, most_masks);
  check_range(who, "mel_masks", policy.mel_masks, 0, most_masks);
  check_range(who, "time_share", policy.time_share, 0.0, 1.0);
  check_range(who, "mel_share", policy.mel_share, 0.0, 1.0);
}

SpectrogramParameters draw_spectrogram_parameters(const SpectrogramPolicy& policy, std::int32_t frames,
                                                  std::int32_t mels, const ViewKey& key) {
  check(policy);
  const Random random = numbers_of(key);
  SpectrogramParameters drawn;
  if (random.uniform(64) < policy.warp_probability) {
    drawn.warp = between(1.0f - policy.warp, 1.0f + policy.warp, random.uniform(65));
  }
  for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(policy.time_masks); ++i) {
    drawn.time[i] = draw_mask(random, frames, policy.time_share, 72 + 2 * i);
  }
  for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(policy.mel_masks); ++i) {
    drawn.mel[i] = draw_mask(random, mels, policy.mel_share, 96 + 2 * i);
  }
  return drawn;
}

void warp_mels(std::span<float> spectrogram, std::int32_t mels, float factor) {
  if (factor == 1.0f || mels < 2) return;
  const float last = static_cast<float>(mels - 1), knee = 0.8f * last * std::min(factor, 1.0f) / factor;
  const float slope = (last - knee * factor) / (last - knee);
  std::vector<float> frame(static_cast<std::size_t>(mels));
  for (std::size_t start = 0; start < spectrogram.size(); start += frame.size()) {
    std::copy_n(spectrogram.begin() + static_cast<std::ptrdiff_t>(start), frame.size(), frame.begin());
    for (std::size_t m = 0; m < frame.size(); ++m) {
      const auto mel = static_cast<float>(m);
      const float place = std::clamp(mel <= knee ? mel * factor : last - (last - mel) * slope, 0.0f, last);
      const auto below = std::min(static_cast<std::size_t>(place), frame.size() - 2);
      const float share = place - static_cast<float>(below);
      spectrogram[start + m] = (1.0f - share) * frame[below] + share * frame[below + 1];
    }
  }
}

void mask_frames(std::span<float> spectrogram, std::int32_t mels, const SpectrogramMask& mask, float value) {
  const auto part = spectrogram.subspan(static_cast<std::size_t>(std::int64_t{mask.begin} * mels),
                                        static_cast<std::size_t>(std::int64_t{mask.count} * mels));
  std::fill(part.begin(), part.end(), value);
}

void mask_mels(std::span<float> spectrogram, std::int32_t mels, const SpectrogramMask& mask, float value) {
  for (std::size_t start = 0; start < spectrogram.size(); start += static_cast<std::size_t>(mels)) {
    const auto part =
        spectrogram.subspan(start + static_cast<std::size_t>(mask.begin), static_cast<std::size_t>(mask.count));
    std::fill(part.begin(), part.end(), value);
  }
}

void augment_spectrogram(std::span<float> spectrogram, std::int32_t mels, const SpectrogramPolicy& policy,
                         const ViewKey& key) {
  SIMCLR_CHECK(mels >= 1 && !spectrogram.empty() && std::ssize(spectrogram) % mels == 0,
               "augment_spectrogram: ", spectrogram.size(), " values are no frames of ", mels, " mels");
  const auto frames = static_cast<std::int32_t>(std::ssize(spectrogram) / mels);
  const SpectrogramParameters drawn = draw_spectrogram_parameters(policy, frames, mels, key);
  warp_mels(spectrogram, mels, drawn.warp);
  double sum = 0.0;
  for (const float value : spectrogram) sum += value;
  const auto mean = static_cast<float>(sum / static_cast<double>(spectrogram.size()));
  for (const SpectrogramMask& mask : drawn.time) mask_frames(spectrogram, mels, mask, mean);
  for (const SpectrogramMask& mask : drawn.mel) mask_mels(spectrogram, mels, mask, mean);
}

}  // namespace simclr::data
