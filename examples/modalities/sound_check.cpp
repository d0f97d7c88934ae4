#include "modalities/sound_check.h"

#include "run/progress.h"

#include <simclr/core/text.h>
#include <simclr/data/sound/sound_io.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>
#include <vector>

namespace data = simclr::data;

namespace {

constexpr float full_scale = 0.95f, silence = 1e-3f;
constexpr double much_offset = 0.25;

struct Levels {
  float peak = 0;
  double flat = 0;    // share of the samples that lie at the peak, three and more in a row
  double offset = 0;  // the mean over the deviation
};

/// How many lie at the peak in a row of three or more that begins or ends in a step: the crest of a low tone is as
/// flat, but it is reached slowly.
std::int64_t flat_samples(std::span<const float> samples, float peak) {
  const float flat_from = (1 - 1e-4f) * peak, step_to = (1 - 1e-3f) * peak;
  std::int64_t flat = 0;
  for (std::size_t i = 0; i < samples.size();) {
    const std::size_t begin = i;
    while (i < samples.size() && std::abs(samples[i]) >= flat_from) ++i;
    const bool step =
        (begin > 0 && std::abs(samples[begin - 1]) < step_to) || (i < samples.size() && std::abs(samples[i]) < step_to);
    if (i - begin >= 3 && step) flat += static_cast<std::int64_t>(i - begin);
    if (i == begin) ++i;
  }
  return flat;
}

Levels levels_of(std::span<const float> samples) {
  Levels levels;
  double sum = 0, squares = 0;
  for (const float value : samples) {
    levels.peak = std::max(levels.peak, std::abs(value));
    sum += double{value};
    squares += double{value} * double{value};
  }
  const auto count = static_cast<double>(samples.size());
  const double mean = sum / count, deviation = std::sqrt(std::max(squares / count - mean * mean, 0.0));
  levels.flat = static_cast<double>(flat_samples(samples, levels.peak)) / count;
  levels.offset = deviation > 0 ? std::abs(mean) / deviation : 0;
  return levels;
}

void count(std::int64_t& number, std::string& first, const std::string& place) {
  if (number++ == 0) first = simclr::printable(place);
}

/// Of the recording as its file has it, since resampling rounds what is flat; else of the sample.
Levels look_at_levels(const data::Sample& sample, const std::string& file, SoundFigures& figures) {
  if (file.empty()) return levels_of(sample.values<float>());
  const data::Sound sound = data::read_sound(file);
  ++figures.rates[sound.rate];
  return levels_of(sound.samples);
}

std::string such_as(const std::string& first) {
  return first.empty() ? "" : ", such as " + first;
}

/// Every threshold that is of recordings, with its reason.
struct Judge {
  const SoundOptions& own;
  const SoundFigures& s;
  Findings found = {};

  void say(std::string about, std::string problem, std::string remedy) {
    found.push_back({std::move(about), std::move(problem), std::move(remedy)});
  }

  std::string share(std::int64_t number) const {
    return std::to_string(number) + " of " + simclr::counted(s.looked_at, "recording");
  }

  void levels() {
    if (20 * s.clipped > s.looked_at) {
      say("clipping",
          share(s.clipped) + " lie at their loudest for a thousandth of the time and more" + such_as(s.clipped_one) +
              ": they were recorded too loud, and how loud differs from what is meant",
          "record them at a lower level, or leave them out");
    }
    if (100 * s.silent > s.looked_at) {
      say("silence",
          share(s.silent) + " are nowhere louder than -60 dB" + such_as(s.silent_one) +
              ", where the spectrogram ends: all silence looks alike",
          "leave them out");
      found.back().unusable = 2 * s.silent > s.looked_at;
    }
    if (20 * s.offset > s.looked_at) {
      say("offset",
          share(s.offset) + " do not swing about zero" + such_as(s.offset_one) + ", so cuts click and gain moves them",
          "take each one's mean from it");
    }
  }

  void rates() {
    std::int64_t all = 0, below = 0;
    std::int32_t highest = 0;
    for (const auto& [rate, files] : s.rates) {
      all += files;
      if (rate < own.sound.rate) below += files;
      highest = std::max(highest, rate);
    }
    if (all == 0) return;
    if (below < all && 20 * below > all) {
      say("rates",
          std::to_string(below) + " of " + std::to_string(all) + " files have fewer than " +
              std::to_string(own.sound.rate) +
              " samples a second and nothing above half of what they have: they can be told from the others by that "
              "alone",
          "--rate " + std::to_string(s.rates.begin()->first));
    } else if (below == all) {
      say("rate",
          "the files have at most " + std::to_string(highest) + " samples a second, so the upper mels of " +
              std::to_string(own.sound.rate) + " Hz are empty",
          "--rate " + std::to_string(highest));
    }
  }

  void lengths() {
    const double seconds = own.sound.seconds;
    if (own.arch != "gru" && s.median < 0.4 * seconds) {  // a GRU is told the lengths
      say("seconds",
          "half of the recordings are shorter than " + rounded(s.median, 2) + " s, so views of " + rounded(seconds) +
              " s are mostly silence",
          "--seconds " + rounded(std::max(0.1, 1.25 * s.median), 2));
    }
    if (s.median > 20 * seconds) {
      say("seconds",
          "half of the recordings are longer than " + rounded(s.median, 2) + " s, of which a view shows " +
              rounded(seconds) + " s: two views of one need have nothing in common",
          "--seconds " + rounded(s.median / 5, 2) + ", or cut the recordings, by start and end in a list");
    }
  }
};

}  // namespace

SoundFigures look_at_sounds(const data::Dataset& recordings, std::int32_t rate, std::int64_t most) {
  SoundFigures figures;
  std::vector<double> seconds;
  figures.unread = look_at_some(recordings, most, [&](std::int64_t i) {
    const data::Sample sample = recordings.sample(i);
    const Levels levels = look_at_levels(sample, recordings.file(i), figures);
    const std::string place = recordings.place(i);
    seconds.push_back(static_cast<double>(sample.shape[0]) / rate);
    if (levels.peak >= full_scale && levels.flat >= 1e-3) count(figures.clipped, figures.clipped_one, place);
    if (levels.peak < silence) {
      count(figures.silent, figures.silent_one, place);
    } else if (levels.offset > much_offset) {
      count(figures.offset, figures.offset_one, place);
    }
    figures.copies.add(sample.bytes, i, recordings);
    ++figures.looked_at;
  });
  if (seconds.empty()) return figures;
  std::sort(seconds.begin(), seconds.end());
  figures.shortest = seconds.front();
  figures.median = seconds[seconds.size() / 2];
  figures.longest = seconds.back();
  return figures;
}

std::string text_of(const SoundFigures& s) {
  std::string rates;
  for (const auto& [rate, files] : s.rates) {
    rates += (rates.empty() ? "; " : ", ") + std::to_string(rate) + " Hz" +
             (s.rates.size() > 1 ? " (" + std::to_string(files) + ")" : "");
  }
  return std::to_string(s.looked_at) + " looked at, " + rounded(s.shortest, 2) + " to " + rounded(s.longest, 2) +
         " s, half of them below " + rounded(s.median, 2) + " s" + rates;
}

Findings sound_findings(const SoundOptions& options, const SoundFigures& sounds) {
  Judge judge{options, sounds};
  find_unread(sounds.unread, sounds.looked_at, "recording", judge.found);
  if (sounds.looked_at == 0) return std::move(judge.found);
  judge.levels();
  find_copies(sounds.copies, sounds.looked_at, "recording", judge.found);
  judge.rates();
  judge.lengths();
  return std::move(judge.found);
}
