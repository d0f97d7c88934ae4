#pragma once

#include "modalities/picture_check.h"

#include <simclr/data/dataset.h>
#include <simclr/data/video/clip_io.h>

#include <cstdint>
#include <string>
#include <vector>

/// What is seen of clips before a run.

/// Some clips of a set, evenly spread.
struct LookedAtClips {
  std::vector<simclr::data::ClipInfo> read = {};
  Unread unread = {};      // those that cannot be opened, or whose middle frame cannot be read where that was tried
  Copies copies = {};      // by the size and two pieces of the files, or where a set has no files by the clips
  ValueRange values = {};  // of the middle frames of those of more than 8 bits
};
/// `thorough`: finds copies, too, by nothing that is decoded, and tries the middle frame: of folders, of arrays, and of
/// at most 32 videos.
LookedAtClips look_at_clips(const simclr::data::Dataset& clips, std::int64_t most, bool thorough = false);

/// The same of 32 of them.
LookedAtClips look_at_clips(const simclr::data::Dataset& clips);

/// That most of them end before a view of so many frames does; empty where they do not.
std::string too_short(const LookedAtClips& clips, std::int64_t span);

/// Of floating-point values beyond white, with where the clips lie; empty where there are none.
std::string beyond_white(const LookedAtClips& clips, const std::string& place);
