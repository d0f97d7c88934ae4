#include "modalities/clip_look.h"

#include <simclr/core/text.h>

#include <algorithm>
#include <span>

namespace data = simclr::data;

namespace {

/// Of a clip whose file says it, without its frames, but for one of more than 8 bits. `copies`: null, or what clips
/// are added to by their first and their middle frame, else by all of them.
data::ClipInfo info_of(const data::Dataset& clips, std::int64_t i, ValueLook& values, Copies* copies) {
  if (const std::string file = clips.file(i); !file.empty()) {
    const auto clip = data::open_clip(file);
    const data::ClipInfo info = clip->info();
    if (info.dtype == simclr::DType::u8 && copies == nullptr) return info;
    const auto bytes = static_cast<std::size_t>(info.frame_bytes());
    std::vector<std::int64_t> some = {info.frames / 2};
    if (copies != nullptr && info.frames > 1) some.insert(some.begin(), 0);
    std::vector<std::uint8_t> frames(some.size() * bytes);
    clip->read(some, frames);
    if (copies != nullptr) copies->add(std::as_bytes(std::span(frames)), i, clips);
    values.add({.bytes = std::as_bytes(std::span(frames).last(bytes)),
                .shape = {info.height, info.width, info.channels},
                .dtype = info.dtype,
                .owner = nullptr});
    return info;
  }
  const data::Sample sample = clips.sample(i);
  if (copies != nullptr) copies->add(sample.bytes, i, clips);
  return {.frames = sample.shape[0],
          .height = static_cast<std::int32_t>(sample.shape[1]),
          .width = static_cast<std::int32_t>(sample.shape[2]),
          .channels = static_cast<std::int32_t>(sample.shape[3]),
          .dtype = sample.dtype};
}

}  // namespace

LookedAtClips look_at_clips(const data::Dataset& clips, std::int64_t most, bool copies) {
  LookedAtClips found;
  ValueLook values("clip");
  found.unread = look_at_some(clips, most, [&](std::int64_t i) {
    found.read.push_back(info_of(clips, i, values, copies ? &found.copies : nullptr));
  });
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
