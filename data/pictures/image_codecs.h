#pragma once

// Private: what image_io.h is made of, the decoders that the build found. Each throws Error, opened by `name`.

#include <simclr/data/pictures/image_io.h>

namespace simclr::data {

Picture decode_jpeg(std::span<const std::uint8_t> bytes, const std::string& name);
Picture decode_png(std::span<const std::uint8_t> bytes, const std::string& name);
std::vector<std::uint16_t> decode_png_16_bits(std::span<const std::uint8_t> bytes, const std::string& name);
std::vector<std::uint8_t> encode_png(const Picture& picture, const std::string& name);

/// Of a JPEG with four components: the inks may be stored either way.
inline constexpr const char* unknown_cmyk = "CMYK colours that do not say how they are stored; convert it to RGB";

/// What a picture without its end marker says of itself.
inline constexpr const char* no_end_marker = ": the picture is whole, but its end marker is missing; a damaged copy?";

/// Throws Error for a picture above the limits, then takes its memory.
void allocate(Picture& picture, std::int64_t height, std::int64_t width, int channels, const std::string& name);

}  // namespace simclr::data
