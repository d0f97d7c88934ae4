#pragma once

// Private: what image_io.h is made of: the table of kinds, and the decoders that the build found. Each throws Error,
// opened by `name`.

#include <simclr/data/pictures/image_io.h>

#include <string_view>

namespace simclr::data {

/// A kind of picture that a build may read.
struct PictureKind {
  const char* name;                                                                 // "JPEG"
  std::vector<std::string_view> endings;                                            // the first is picture_kind()'s
  Picture (*decode)(std::span<const std::uint8_t> bytes, const std::string& name);  // null: this build cannot
  const char* packages;                                                             // of Debian, which bring it
  /// Of kinds that may hold more than bytes of grey, RGB and alpha; null: this one does not.
  Raster (*decode_raster)(std::span<const std::uint8_t> bytes, const std::string& name) = nullptr;
};

/// All of them: the one place where endings are listed.
const std::vector<PictureKind>& picture_kinds();

/// The row of what picture_kind() returns, or of a name's ending; null where there is none.
const PictureKind* find_kind(std::string_view ending);

Picture decode_jpeg(std::span<const std::uint8_t> bytes, const std::string& name);
Picture decode_png(std::span<const std::uint8_t> bytes, const std::string& name);
Picture decode_webp(std::span<const std::uint8_t> bytes, const std::string& name);
Picture decode_tiff(std::span<const std::uint8_t> bytes, const std::string& name);
Picture decode_gif(std::span<const std::uint8_t> bytes, const std::string& name);
Picture decode_bmp(std::span<const std::uint8_t> bytes, const std::string& name);
Picture decode_pnm(std::span<const std::uint8_t> bytes, const std::string& name);
Raster decode_png_raster(std::span<const std::uint8_t> bytes, const std::string& name);
Raster decode_pnm_raster(std::span<const std::uint8_t> bytes, const std::string& name);
Raster decode_npy_raster(std::span<const std::uint8_t> bytes, const std::string& name);
Raster decode_tiff_raster(std::span<const std::uint8_t> bytes, const std::string& name);
std::vector<std::uint8_t> encode_png(const Picture& picture, const std::string& name);

/// Of a JPEG with four components: the inks may be stored either way.
inline constexpr const char* unknown_cmyk = "CMYK colours that do not say how they are stored; convert it to RGB";

/// The most channels of a raster, which views have room for (kernels/augment.h).
inline constexpr int most_bands = 16;

/// Of values below 0, which most programs would draw as black or as white.
inline constexpr const char* negative_values =
    "values below 0, as CT scans have; add what makes the least of the whole set 0, and save them as uint16";

/// What a picture without its end marker says of itself.
inline constexpr const char* no_end_marker = ": the picture is whole, but its end marker is missing; a damaged copy?";

/// Throws Error for a picture above the limits.
void check_size(std::int64_t height, std::int64_t width, const std::string& name);

/// Throws Error for more than 64 MiB of samples that a file of `file_bytes` cannot hold, if it packs them to at best
/// one part in `most_packed`.
void check_packing(std::int64_t bytes, std::size_t file_bytes, std::int64_t most_packed, const std::string& name);

/// As check_size(), then takes the picture's memory: zeros.
void allocate(Picture& picture, std::int64_t height, std::int64_t width, int channels, const std::string& name);

/// Throws Error, opened by `name`, for the first f32 value of [height,width,channels] that is NaN or infinite.
void check_finite(std::span<const std::uint8_t> bytes, std::int64_t width, std::int64_t channels,
                  const std::string& name);

/// Whether a PNG's samples have 16 bits.
inline bool is_16_bit_png(std::span<const std::uint8_t> bytes) {
  constexpr std::size_t depth = 24;  // where every PNG says how many bits a sample has
  return bytes.size() > depth && bytes[depth] == 16;
}

/// PNG's check of a chunk's type and content: CRC-32.
inline std::uint32_t png_check(std::span<const std::uint8_t> bytes) {
  std::uint32_t crc = 0xffffffffu;
  for (const std::uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1u) != 0 ? 0xedb88320u : 0u);
  }
  return ~crc;
}

/// A picture of bytes as a raster; where its channels are the bytes of values of a larger type, theirs.
Raster raster_of(Picture picture, DType dtype = DType::u8);

/// A number of `count` bytes (at most 4), the lowest first.
inline std::uint32_t little_endian(const std::uint8_t* bytes, int count) {
  std::uint32_t value = 0;
  for (int i = count - 1; i >= 0; --i) value = value << 8 | bytes[i];
  return value;
}

/// The same, the highest first.
inline std::uint32_t big_endian(const std::uint8_t* bytes, int count) {
  std::uint32_t value = 0;
  for (int i = 0; i < count; ++i) value = value << 8 | bytes[i];
  return value;
}

/// `colour` as an ink in 0..255 beside black: the share of the light that both leave.
inline std::uint8_t light_of_ink(int colour, int black) {
  return static_cast<std::uint8_t>(((255 - colour) * (255 - black) + 127) / 255);
}

}  // namespace simclr::data
