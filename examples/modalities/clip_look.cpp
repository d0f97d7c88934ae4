#include "modalities/clip_look.h"

#include <simclr/core/text.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <system_error>

namespace data = simclr::data;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t videos_read = 32;  // at most: of an AVI the middle frame takes half of the file

/// Adds what tells a file from others without decoding it.
void add_file(const fs::path& path, std::string& known) {
  constexpr std::size_t piece = 64 * 1024;
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  known += std::to_string(size) + "\n";
  std::ifstream file(path, std::ios::binary);
  std::string bytes(piece, '\0');
  for (const std::uintmax_t at : {std::uintmax_t{0}, size / 2}) {
    file.clear();
    file.seekg(static_cast<std::streamoff>(at));
    file.read(bytes.data(), static_cast<std::streamsize>(piece));
    known.append(bytes, 0, static_cast<std::size_t>(std::max(file.gcount(), std::streamsize{0})));
  }
}

/// What tells a clip's file from others, or the folder of its frames: by all their sizes, the first and the middle one.
std::string known_by(const std::string& path) {
  std::string known;
  std::error_code error;
  std::vector<fs::path> frames;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code of_entry;  // of a link that leads to itself, say
    if (entry->is_regular_file(of_entry)) frames.push_back(entry->path());
  }
  if (frames.empty()) {
    add_file(path, known);
    return known;
  }
  std::sort(frames.begin(), frames.end());
  for (const fs::path& frame : frames) known += std::to_string(fs::file_size(frame, error)) + "\n";
  add_file(frames.front(), known);
  add_file(frames[frames.size() / 2], known);
  return known;
}

/// Whether one frame can be read without the others: of a folder and of an array, not of a video.
bool has_frames_apart(const std::string& path) {
  std::error_code error;
  return fs::is_directory(path, error) || simclr::lower_case(fs::path(path).extension().string()) == ".npy";
}

/// Of a clip whose file says it, without its frames but for the middle one: where that `is_read`, or is of more than
/// 8 bits. `copies`: null, or what clips are added to by their files, else by all frames.
data::ClipInfo info_of(const data::Dataset& clips, std::int64_t i, bool is_read, ValueLook& values, Copies* copies) {
  if (const std::string file = clips.file(i); !file.empty()) {
    const auto clip = data::open_clip(file);
    const data::ClipInfo info = clip->info();
    if (copies != nullptr) {
      const std::string known = known_by(file);
      copies->add(std::as_bytes(std::span(known)), i, clips);
    }
    if (!is_read && info.dtype == simclr::DType::u8) return info;
    std::vector<std::uint8_t> frame(static_cast<std::size_t>(info.frame_bytes()));
    clip->read(std::array{info.frames / 2}, frame);
    if (info.dtype == simclr::DType::u8) return info;
    values.add({.bytes = std::as_bytes(std::span(frame)),
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

LookedAtClips look_at_clips(const data::Dataset& clips, std::int64_t most, bool thorough) {
  LookedAtClips found;
  ValueLook values("clip");
  const std::int64_t every = (std::min(most, clips.size()) + videos_read - 1) / videos_read;
  std::int64_t videos = 0;
  found.unread = look_at_some(clips, most, [&](std::int64_t i) {
    const std::string file = clips.file(i);
    const bool is_read = thorough && !file.empty() && (has_frames_apart(file) || videos++ % every == 0);
    found.read.push_back(info_of(clips, i, is_read, values, thorough ? &found.copies : nullptr));
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
