#pragma once

#include <simclr/core/export.h>
#include <simclr/core/file.h>

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

/// The largest picture that is read: pixels a side, pixels, and bytes of its file.
inline constexpr std::int64_t max_picture_side = 65500;
inline constexpr std::int64_t max_picture_pixels = std::int64_t{1} << 28;
inline constexpr std::int64_t max_picture_file = std::int64_t{1} << 30;

/// Decodes a JPEG or PNG picture, told by content; `name` stands for it in messages. Grey stays 1 channel, colour
/// becomes 3, and whatever has transparency 4. 16-bit samples keep their upper 8 bits, palettes are expanded, and
/// grey with alpha becomes RGB with alpha; Adobe's CMYK and YCCK become RGB as if each ink took away its share of the
/// light. Colours are taken as they are: gamma and colour profiles are ignored. The EXIF orientation is not applied.
/// A file that ends, or goes on with something else, behind the last pixel and before its end marker gives the picture
/// with a warning. Throws Error for any other format, CMYK that has no marker of Adobe's, damaged or truncated data,
/// and a picture above the limits (before memory is taken for it). Thread-safe.
SIMCLR_API Picture decode_picture(std::span<const std::uint8_t> bytes, const std::string& name);

/// Whether a file counts as a picture by its name: .jpg, .jpeg, .jpe, .jfif, .jif or .png, in any case.
SIMCLR_API bool is_picture_name(const std::string& path);

/// The ending of a file's name in lower case, ".jpg"; empty where it has none.
SIMCLR_API std::string ending_of(const std::string& path);

/// What kind of picture begins with these bytes (32 are enough), as an ending: ".jpg" and ".png", which are read,
/// ".webp", ".gif", ".bmp", ".tif", ".heic", ".avif", ".jxl", ".jp2", ".psd", ".exr", ".qoi" or ".pnm"; empty: none.
SIMCLR_API std::string picture_kind(std::span<const std::uint8_t> bytes);

/// Of a 16-bit PNG all 16 bits of its samples, row by row, channels interleaved as in the file; empty for other
/// pictures. Throws Error as decode_picture() does.
SIMCLR_API std::vector<std::uint16_t> samples_of_16_bits(std::span<const std::uint8_t> bytes, const std::string& name);

/// Reads and decodes the file at `path`. Throws Error, naming it as printable() does.
SIMCLR_API Picture read_picture(const std::string& path);

/// A PNG file of the picture (1, 3 or 4 channels); `name` stands for it in messages. Throws Error for an impossible
/// one.
SIMCLR_API std::vector<std::uint8_t> png_bytes(const Picture& picture, const std::string& name);

/// Writes a PNG picture (1, 3 or 4 channels): all of it, or nothing. Throws Error as AtomicFile does.
SIMCLR_API void write_png(const std::string& path, const Picture& picture, Existing existing = Existing::replace);

}  // namespace simclr::data
