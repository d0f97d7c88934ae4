#pragma once

#include <simclr/core/dtype.h>
#include <simclr/core/export.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

namespace simclr::data {

/// What all frames of a clip have in common: values of one type, [height,width,channels], channels interleaved.
struct ClipInfo {
  std::int64_t frames = 0;
  std::int32_t height = 0, width = 0, channels = 0;
  DType dtype = DType::u8;
  double rate = 0;  // frames a second; 0: not said, of folders of pictures and of .npy files

  std::int64_t frame_bytes() const { return std::int64_t{height} * width * channels * size_of(dtype); }
};

/// The most frames that a clip may have, and the most bytes that one call reads.
inline constexpr std::int64_t max_clip_frames = 10'000'000;
inline constexpr std::int64_t max_clip_bytes = std::int64_t{1} << 31;

/// A clip whose frames are read when they are asked for. Not for several threads at once: each opens its own.
class SIMCLR_API ClipReader {
 public:
  virtual ~ClipReader();

  const std::string& name() const { return name_; }  // for messages
  const ClipInfo& info() const { return info_; }

  /// Fills `out` with the frames of these numbers, ascending, one behind another. What is read depends on the file and
  /// the numbers alone, not on what was read before. Throws Error, one line that names the file, for numbers that are
  /// not there, for damaged frames, holes of more than half a second, and more than max_clip_bytes.
  void read(std::span<const std::int64_t> frames, std::span<std::uint8_t> out);

 protected:
  explicit ClipReader(std::string name) : name_(std::move(name)) {}
  /// The same, of arguments that were checked.
  virtual void read_frames(std::span<const std::int64_t> frames, std::span<std::uint8_t> out) = 0;

  std::string name_;
  ClipInfo info_;
};

/// Opens a clip, told by content:
/// - a video file, through FFmpeg's libraries: u8 RGB, upright as its file says. Of several streams of pictures the
///   best one. Frame k is what is seen at the time k / rate behind the first frame; to read it, the reader goes to the
///   key frame before it and decodes from there by the frames' time stamps, which gives the same bytes as decoding
///   from the start. AVI, MPEG program streams and MXF do not store when each frame is seen: where their codec orders
///   frames anew (MPEG-4, H.264), frame k is told by the order of decoding, always from the start. A stream that
///   begins within a group, as of a camera or of parts that were cut without encoding, begins with its first key frame.
///   Of the file's matrix quarter turns alone count: a mirrored picture stays mirrored, and pixels count as square.
///   Other files, streams and addresses that a file names are not followed. The first one that is opened sets FFmpeg's
///   log level, which the whole process has, to AV_LOG_QUIET where it is AV_LOG_INFO, as FFmpeg begins with: what is
///   damaged is thrown. A program that wants FFmpeg's messages sets another level before or this one afterwards.
/// - a .npy file, frames as picture_arrays.h has pictures: [T,H,W], [T,H,W,C] or [T,C,H,W];
/// - a folder of pictures, a frame each, in the order of their names, "f2.jpg" before "f10.jpg".
/// Throws Error, one line that names the file, for what is missing, empty, of another kind, without frames, above the
/// limits of image_io.h, and in a build without FFmpeg for video files.
SIMCLR_API std::unique_ptr<ClipReader> open_clip(const std::string& path);

/// The same of the bytes of a video or .npy file, which outlive the reader; `name` stands for it in messages.
SIMCLR_API std::unique_ptr<ClipReader> open_clip(std::span<const std::uint8_t> bytes, const std::string& name);

/// The kinds of clips that this build reads: "video (.mp4, .mkv, ...), .npy or folders of pictures".
SIMCLR_API std::string read_clip_kinds();

/// Whether a file counts as a clip by its name: .npy, and in a build that reads them the endings of video files.
SIMCLR_API bool is_clip_name(const std::string& path);

/// Debian's packages that a build needs to read files with this ending; empty where this one does, or none could.
SIMCLR_API std::string missing_clip_package(const std::string& ending);

}  // namespace simclr::data
