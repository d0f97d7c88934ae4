#pragma once

#include <simclr/core/dtype.h>
#include <simclr/core/export.h>
#include <simclr/core/file.h>
#include <simclr/data/path_list.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace simclr::data {

/// A picture in memory: u8 [height,width,channels], channels interleaved: 1 grey, 3 RGB, 4 RGB with alpha.
struct Picture {
  std::int32_t height = 0, width = 0, channels = 0;
  std::vector<std::uint8_t> pixels = {};
  std::string warning = {};  // of a picture that is whole although its file is not: one line, opened by its name
};

/// A picture as its file measures it: u8, u16 or f32 [height,width,channels], channels interleaved: 1 grey, 3 RGB, 4
/// RGB with alpha, or, where they are `bands`, 2 to 16 of any meaning. f32 is black at 0 and white at 1.
struct Raster {
  std::int32_t height = 0, width = 0, channels = 0;
  DType dtype = DType::u8;
  bool bands = false;
  bool rgb_and_one = false;              // bands: RGB and one channel that its file says nothing of
  std::vector<std::uint8_t> bytes = {};  // of the values
  std::string warning = {};              // as Picture's
};

/// The largest picture that is read: pixels a side, pixels, and bytes of its file.
inline constexpr std::int64_t max_picture_side = 65500;
inline constexpr std::int64_t max_picture_pixels = std::int64_t{1} << 28;
inline constexpr std::int64_t max_picture_file = std::int64_t{1} << 30;

/// Decodes a picture of the kinds in read_kinds(), told by content; `name` stands for it in messages. Grey stays 1
/// channel, colour becomes 3, and whatever has transparency 4. Samples of more than 8 bits keep their upper 8, palettes
/// are expanded, and grey with alpha becomes RGB with alpha; CMYK and YCCK become RGB as if each ink took away its
/// share of the light. Colours are taken as they are: gamma and colour profiles are ignored. The picture is turned
/// upright, as its EXIF data or, without those, its XMP data say. Of an animation or several pages the first picture
/// counts. A file that ends, or goes on with something else, behind the last pixel and before its end marker gives the
/// picture with a warning. Throws Error for any other format, CMYK of a JPEG that has no marker of Adobe's, damaged or
/// truncated data, and a picture above the limits (before memory is taken for it). Errors and warnings are one line.
/// Thread-safe.
SIMCLR_API Picture decode_picture(std::span<const std::uint8_t> bytes, const std::string& name);

/// The kinds that this build reads: "JPEG, PNG, WebP, TIFF, GIF, BMP or PNM", PNM being .ppm, .pgm, .pbm and .pnm.
SIMCLR_API std::string read_kinds();

/// Whether a kind, as picture_kind() returns it, or an ending, ".tiff", is of a picture that this build reads.
SIMCLR_API bool is_read_kind(const std::string& kind);

/// Debian's package that a build needs to read this kind, "libwebp-dev"; empty where this one does, or none could.
SIMCLR_API std::string missing_package(const std::string& kind);

/// Whether a file counts as a picture by its name: .jpg, .jpeg, .jpe, .jfif, .jif, .png, .webp, .tif, .tiff, .gif,
/// .bmp, .ppm, .pgm, .pbm and .pnm, in any case, but for those that this build does not read.
SIMCLR_API bool is_picture_name(const std::string& path);

/// What kind of picture begins with these bytes (32 are enough), as an ending: ".jpg", ".png", ".webp", ".tif", ".gif",
/// ".bmp" and ".pnm", which are read, ".npy", which decode_raster() reads, ".heic", ".avif", ".jxl", ".jp2", ".psd",
/// ".exr", ".qoi" or ".pam", which are not; empty: none.
SIMCLR_API std::string picture_kind(std::span<const std::uint8_t> bytes);

/// The same as decode_picture() with all that is measured: samples of 9 to 16 bits of PNG, TIFF and PNM are u16,
/// stretched to its range; TIFF and .npy may hold floating-point numbers and up to 16 channels. Two channels, and four
/// or more that do not name one of them alpha, are bands. .npy is [height,width], [height,width,channels] or, where the
/// last dimension is above 16, [channels,height,width]. All else is u8, the pixels those of decode_picture(). Throws
/// Error as it does, and for more channels and for values that are NaN, infinite or, of integers, below 0.
SIMCLR_API Raster decode_raster(std::span<const std::uint8_t> bytes, const std::string& name);

/// Reads and decodes the file at `path`. Throws Error, naming it as printable() does.
SIMCLR_API Picture read_picture(const std::string& path);
SIMCLR_API Raster read_raster(const std::string& path);

/// A PNG file of the picture (1, 3 or 4 channels); `name` stands for it in messages. Throws Error for an impossible
/// one.
SIMCLR_API std::vector<std::uint8_t> png_bytes(const Picture& picture, const std::string& name);

/// PNG files of one size and kind, as png_bytes() makes them, as an animated one, which is shown over and over; of one
/// frame that frame. Throws Error where they are none, differ, or are cut off, and for less than 1 or more than 65535
/// frames a second.
SIMCLR_API std::vector<std::uint8_t> animated_png(const std::vector<std::vector<std::uint8_t>>& frames,
                                                  int frames_a_second);

/// Writes a PNG picture (1, 3 or 4 channels): all of it, or nothing. Throws Error as AtomicFile does.
SIMCLR_API void write_png(const std::string& path, const Picture& picture, Existing existing = Existing::replace);

}  // namespace simclr::data
