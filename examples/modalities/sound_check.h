#pragma once

#include "recipes/sound_recipes.h"
#include "train/looked_at.h"

#include <simclr/data/dataset.h>

#include <cstdint>
#include <map>
#include <string>

/// What --check sees of recordings.

/// Of some of a set's recordings, at the views' rate.
struct SoundFigures {
  std::int64_t looked_at = 0;                    // and read
  Unread unread = {};                            // more that were looked at
  double shortest = 0, median = 0, longest = 0;  // seconds
  std::int64_t clipped = 0;  // recordings of which a thousandth and more lies flat at the loudest, near full scale
  std::int64_t silent = 0;   // recordings that are nowhere louder than a thousandth of full scale
  std::int64_t offset = 0;   // recordings whose mean is more than a quarter of their deviation, which is no sound
  std::string clipped_one = {}, silent_one = {}, offset_one = {};  // the first of each
  Copies copies = {};
  std::map<std::int32_t, std::int64_t> rates = {};  // of the files, where each is one: how many have each
};
/// Looks at `most` of them, evenly over the set.
SoundFigures look_at_sounds(const simclr::data::Dataset& recordings, std::int32_t rate, std::int64_t most);

/// "300 looked at, 0.3 to 2.3 s, half of them below 0.4 s; 8000 Hz".
std::string text_of(const SoundFigures& sounds);

/// What looks wrong with these recordings, and with their views by these options.
Findings sound_findings(const SoundOptions& options, const SoundFigures& sounds);
