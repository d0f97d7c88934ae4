#include "modalities/clip_look.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>

#include <algorithm>
#include <array>
#include <span>

namespace data = simclr::data;

namespace {

/// Of a clip whose file says it, without its frames, but for one of more than 8 bits.
data::ClipInfo info_of(const data::Dataset& clips, std::int64_t i, ValueLook& values) {
  if (const std::string file = clips.file(i); !file.empty()) {
    const auto clip = data::open_clip(file);
    const data::ClipInfo info = clip->info();
    if (info.dtype != simclr::DType::u8) {
      std::vector<std::uint8_t> frame(static_cast<std::size_t>(info.frame_bytes()));
      clip->read(std::array{info.frames / 2}, frame);
      values.add({.bytes = std::as_bytes(std::span(frame)),
                  .shape = {info.height, info.width, info.channels},
                  .dtype = info.dtype,
                  .owner = nullptr});
    }
    return info;
  }
  const data::Sample sample = clips.sample(i);
  return {.frames = sample.shape[0],
          .height = static_cast<std::int32_t>(sample.shape[1]),
          .width = static_cast<std::int32_t>(sample.shape[2]),
          .channels = static_cast<std::int32_t>(sample.shape[3]),
          .dtype = sample.dtype};
}

}  // namespace

LookedAtClips look_at_clips(const data::Dataset& clips, std::int64_t most) {
  LookedAtClips found;
  ValueLook values("clip");
  const std::int64_t count = std::min(clips.size(), most);
  for (std::int64_t k = 0; k < count; ++k) {
    try {
      found.read.push_back(info_of(clips, k * clips.size() / count, values));
    } catch (const simclr::Error& error) {
      found.unread.add(error.what());
    }
  }
  found.values = values.values();
  return found;
}

LookedAtClips look_at_clips(const data::Dataset& clips) {
  constexpr std::int64_t some = 32;
  return look_at_clips(clips, some);
}

std::string too_short(const LookedAtClips& clips, std::int64_t span) {
  const auto shorter = std::count_if(clips.read.begin(), clips.read.end(),
                                     [&](const data::ClipInfo& clip) { return clip.frames < span; });
  if (2 * shorter <= std::ssize(clips.read)) return {};
  return std::to_string(shorter) + " of " + simclr::counted(std::ssize(clips.read), "clip") + " end before a view of " +
         std::to_string(span) + " frames does, so that its last frames stand still";
}

std::string beyond_white(const LookedAtClips& clips, const std::string& place) {
  const std::string line = clips.values.floats.warning();
  return line.empty() ? line : simclr::printable(place) + ": " + line;
}
