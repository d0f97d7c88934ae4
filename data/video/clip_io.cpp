#include "clip_kinds.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/path_list.h>
#include <simclr/data/pictures/image_io.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>

namespace simclr::data {
namespace {

#ifdef SIMCLR_HAVE_FFMPEG
constexpr bool has_library = true;
#else
constexpr bool has_library = false;
#endif

constexpr std::string_view video_endings[] = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg",
                                              ".ts",  ".mts", ".ogv", ".flv", ".wmv",  ".3gp", ".asf"};

bool is_video_ending(const std::string& ending) {
  return std::find(std::begin(video_endings), std::end(video_endings), ending) != std::end(video_endings);
}

bool is_npy(std::span<const std::uint8_t> start) {
  constexpr std::string_view magic = "\x93NUMPY";
  return start.size() >= magic.size() && std::memcmp(start.data(), magic.data(), magic.size()) == 0;
}

/// Whether none of a GIF's blocks is cut off. FFmpeg reads the pictures before the cut in silence. The end's own byte
/// may be missing, which some writers leave out.
bool is_whole_gif(const FileBytes& bytes) {
  const auto byte_at = [&bytes](std::int64_t place) {
    std::uint8_t byte = 0;
    return place < bytes.size && bytes.read(place, {&byte, 1}).empty() ? int{byte} : -1;
  };
  const auto palette = [](int flags) { return (flags & 0x80) != 0 ? std::int64_t{6} << (flags & 7) : 0; };
  std::int64_t at = 13 + palette(byte_at(10));
  const auto skip_data = [&] {
    for (int size = byte_at(at++); size > 0; size = byte_at(at++)) at += size;
  };
  while (at < bytes.size) {
    const int block = byte_at(at++);
    if (block == 0x3b) return true;
    if (block == 0x21) {
      ++at;
      skip_data();
    } else if (block == 0x2c) {
      at += 10 + palette(byte_at(at + 8));
      skip_data();
    }
  }
  return at == bytes.size;
}

/// `as_npy` gives the array of a file that is one.
template <class AsNpy>
std::unique_ptr<ClipReader> open(FileBytes bytes, const AsNpy& as_npy) {
  std::array<std::uint8_t, 32> room{};  // bytes that tell the kind
  const std::span<const std::uint8_t> start = start_of(bytes, room, "clip");
  if (is_npy(start)) return open_npy_clip(as_npy());
  const std::string kind = picture_kind(start);
  SIMCLR_CHECK(kind.empty() || kind == ".gif", bytes.name, ": a picture (", kind,
               ") and no clip; put the frames of each clip into a folder");
  SIMCLR_CHECK(kind.empty() || is_whole_gif(bytes), bytes.name, ": damaged or cut off: the GIF ends within a picture");
  return open_video(std::move(bytes));
}

}  // namespace

ClipReader::~ClipReader() = default;

void ClipReader::read(std::span<const std::int64_t> frames, std::span<std::uint8_t> out) {
  SIMCLR_CHECK(std::is_sorted(frames.begin(), frames.end()), name_, ": frames are read in ascending order");
  SIMCLR_CHECK(frames.empty() || (frames.front() >= 0 && frames.back() < info_.frames), name_, ": frames ",
               frames.empty() ? 0 : frames.front(), " to ", frames.empty() ? 0 : frames.back(), " of ", info_.frames);
  const std::int64_t bytes = std::ssize(frames) * info_.frame_bytes();
  SIMCLR_CHECK(bytes <= max_clip_bytes, name_, ": ", counted(std::ssize(frames), "frame"), " of ", info_.width, "x",
               info_.height, " are more than ", max_clip_bytes, " bytes; take fewer, or make the video smaller");
  SIMCLR_CHECK(std::ssize(out) == bytes, name_, ": room for ", out.size(), " bytes, the frames have ", bytes);
  if (!frames.empty()) read_frames(frames, out);
}

void check_clip(const ClipInfo& info, const std::string& name) {
  SIMCLR_CHECK(info.height >= 1 && info.width >= 1 && info.height <= max_picture_side &&
                   info.width <= max_picture_side && std::int64_t{info.height} * info.width <= max_picture_pixels,
               name, ": frames of ", info.width, "x", info.height, " pixels; at most ", max_picture_side,
               " a side and ", max_picture_pixels, " are read");
  SIMCLR_CHECK(info.frames >= 1, name, ": a clip without a frame");
  SIMCLR_CHECK(info.frames <= max_clip_frames, name, ": ", info.frames, " frames, at most ", max_clip_frames,
               " are read; cut it into parts");
}

std::unique_ptr<ClipReader> open_clip(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return open_frames(path, frame_files(path));
  return open(bytes_of(std::make_shared<const OpenFile>(path, "clip")), [&] { return open_npy(path); });
}

std::unique_ptr<ClipReader> open_clip(std::span<const std::uint8_t> bytes, const std::string& name) {
  return open(bytes_of(bytes, name), [&] { return npy_in_memory({bytes.begin(), bytes.end()}, name); });
}

std::string read_clip_kinds() {
  return has_library ? "video (.mp4, .mkv, .webm, .avi, .mov, .mpg, ...), .npy or folders of pictures"
                     : ".npy or folders of pictures";
}

bool is_clip_name(const std::string& path) {
  const std::string ending = ending_of(path);
  return ending == ".npy" || (has_library && is_video_ending(ending));
}

std::string missing_clip_package(const std::string& ending) {
  return !has_library && is_video_ending(ending) ? "libavformat-dev, libavcodec-dev and libswscale-dev" : "";
}

}  // namespace simclr::data
