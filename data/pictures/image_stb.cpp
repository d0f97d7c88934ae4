// Decoders and encoder for builds without libjpeg-turbo or libpng.

#if !defined(SIMCLR_HAVE_JPEG) || !defined(SIMCLR_HAVE_PNG)

#include "image_codecs.h"
#include "orientation.h"

#include <simclr/core/error.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#ifdef SIMCLR_HAVE_STB
// stb leaves some of its state as it gets it, and a damaged file makes it read that: so it gets zeros.
#define STBI_MALLOC(size) std::calloc(1, size)
#define STBI_REALLOC(pointer, size) std::realloc(pointer, size)
#define STBI_FREE(pointer) std::free(pointer)
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS 65500  // max_picture_side
#ifndef SIMCLR_HAVE_JPEG
#define STBI_ONLY_JPEG
#endif
#ifndef SIMCLR_HAVE_PNG
#define STBI_ONLY_PNG
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#endif
#include <stb/stb_image.h>
#ifndef SIMCLR_HAVE_PNG
#include <stb/stb_image_write.h>
#endif
#endif

namespace simclr::data {
namespace {

#ifdef SIMCLR_HAVE_STB

/// `sample_bytes`: 2 where all 16 bits of a sample are kept. The picture's channels are bytes then.
Picture decode(std::span<const std::uint8_t> bytes, const std::string& name, const char* format,
               std::size_t sample_bytes = 1) {
  const auto size = static_cast<int>(bytes.size());  // at most max_picture_file
  int width = 0, height = 0, channels = 0;
  Picture picture;
  // The size first: stb takes memory for what the header says.
  if (stbi_info_from_memory(bytes.data(), size, &width, &height, &channels)) {
    check_size(height, width, name);
  }
  const std::unique_ptr<void, decltype(&std::free)> decoded(
      sample_bytes == 2
          ? static_cast<void*>(stbi_load_16_from_memory(bytes.data(), size, &width, &height, &channels, 0))
          : static_cast<void*>(stbi_load_from_memory(bytes.data(), size, &width, &height, &channels, 0)),
      &std::free);
  const std::string problem = decoded ? "" : stbi_failure_reason();
  SIMCLR_CHECK(problem != "too large", name, ": a ", format, " picture of more pixels than are read, at most ",
               max_picture_side, " a side and ", max_picture_pixels, " in all; scale it down");
  SIMCLR_CHECK(decoded, name, ": damaged or unsupported ", format, ": ", problem);
  const auto* in = static_cast<const std::uint8_t*>(decoded.get());
  allocate(picture, height, width, static_cast<int>(sample_bytes) * (channels == 2 ? 4 : channels), name);
  if (channels != 2) {
    picture.pixels.assign(in, in + picture.pixels.size());
    return picture;
  }
  for (auto out = picture.pixels.begin(); out != picture.pixels.end(); in += 2 * sample_bytes) {
    for (int c = 0; c < 3; ++c) out = std::copy_n(in, sample_bytes, out);
    out = std::copy_n(in + sample_bytes, sample_bytes, out);
  }
  return picture;
}

#ifndef SIMCLR_HAVE_JPEG
/// What the headers of a JPEG have said so far: the tables, a bit each, those that its picture needs, and its colours.
struct JpegHeaders {
  std::uint32_t huffman = 0, quantization = 0, needed = 0;  // a Huffman table's bit: its class (0: DC, 1: AC) * 16 + id
  bool progressive = false, four_components = false, adobe_colours = false;
};

/// False for a table of impossible size.
bool take_huffman_tables(std::span<const std::uint8_t> segment, JpegHeaders& headers) {
  for (std::size_t at = 0; at < segment.size();) {
    if (at + 17 > segment.size()) return false;
    std::size_t codes = 0;
    for (std::size_t i = 1; i <= 16; ++i) codes += segment[at + i];
    if (codes > 256 || at + 17 + codes > segment.size()) return false;
    headers.huffman |= 1u << (segment[at] & 31);
    at += 17 + codes;
  }
  return true;
}

void take_quantization_tables(std::span<const std::uint8_t> segment, JpegHeaders& headers) {
  for (std::size_t at = 0; at < segment.size(); at += segment[at] < 16 ? 65 : 129) {
    headers.quantization |= 1u << (segment[at] & 15);
  }
}

/// False where the scan's data are coded by a Huffman table that the file has not given.
bool has_tables_of_scan(std::span<const std::uint8_t> segment, const JpegHeaders& headers) {
  const std::size_t components = segment.empty() ? 0 : segment[0];
  if (segment.size() < 4 + 2 * components) return false;
  const bool first_is_dc = segment[1 + 2 * components] == 0, refines = segment[3 + 2 * components] >= 16;
  std::uint32_t used = 0;
  for (std::size_t i = 0; i < components; ++i) {
    const std::uint8_t ids = segment[2 + 2 * i];
    if (!headers.progressive || (first_is_dc && !refines)) used |= 1u << (ids >> 4);
    if (!headers.progressive || !first_is_dc) used |= 1u << (16 + (ids & 15));
  }
  return (used & ~headers.huffman) == 0;
}

/// stb paints the missing part of a truncated JPEG grey, takes a fourth component of unknown meaning for none, writes
/// past its tables for a Huffman table of more than 256 codes, and decodes by what lies in memory where a table was
/// never given. So look at the markers first: throws Error for each.
void check_jpeg(std::span<const std::uint8_t> bytes, const std::string& name) {
  constexpr const char* damaged = ": damaged or unsupported JPEG: ";
  JpegHeaders headers;
  bool scanning = false;  // inside entropy-coded data, where ff is followed by 0 or a restart
  for (std::size_t at = 2; at + 1 < bytes.size();) {
    const std::uint8_t marker = bytes[at + 1];
    const bool standalone = marker == 0 || marker == 1 || (marker >= 0xd0 && marker <= 0xd7);
    if (bytes[at] != 0xff || marker == 0xff || (scanning && standalone)) {
      ++at;
      continue;
    }
    if (marker == 0xd9) {
      SIMCLR_CHECK((headers.needed & ~headers.quantization) == 0, name, damaged, "a quantization table is missing");
      return;
    }
    if (at + 4 > bytes.size()) break;
    const std::size_t length = std::size_t{bytes[at + 2]} << 8 | bytes[at + 3];
    if (length < 2 || at + 2 + length > bytes.size()) break;
    const auto segment = bytes.subspan(at + 4, length - 2);
    const bool frame = marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
    if (frame && segment.size() > 5) {
      headers.four_components = segment[5] == 4;
      headers.progressive = marker == 0xc2;
      for (std::size_t i = 8; i < segment.size(); i += 3) headers.needed |= 1u << (segment[i] & 15);
    } else if (marker == 0xc4) {
      SIMCLR_CHECK(take_huffman_tables(segment, headers), name, damaged, "a Huffman table of impossible size");
    } else if (marker == 0xdb) {
      take_quantization_tables(segment, headers);
    } else if (marker == 0xee && segment.size() >= 12 && std::memcmp(segment.data(), "Adobe", 6) == 0) {
      headers.adobe_colours = segment[11] == 0 || segment[11] == 2;
    } else if (marker == 0xda) {
      SIMCLR_CHECK(!headers.four_components || headers.adobe_colours, name, damaged, unknown_cmyk);
      SIMCLR_CHECK(has_tables_of_scan(segment, headers), name, damaged, "a Huffman table is missing");
    }
    scanning = marker == 0xda;
    at += 2 + length;
  }
  fail(name, damaged, "the file is truncated");
}
#endif

#ifndef SIMCLR_HAVE_PNG
/// stb looks at no checksum. Throws Error for a chunk whose CRC-32 is wrong, but for those that no pixel depends on, as
/// libpng does: their names begin with a small letter. Returns where the last chunk begins; where it is missing: where
/// it should.
std::size_t check_png(std::span<const std::uint8_t> bytes, const std::string& name) {
  std::size_t at = 8;
  while (at + 12 <= bytes.size()) {
    const std::size_t length = big_endian(&bytes[at], 4);
    if (length > bytes.size() - at - 12) break;
    const bool critical = (bytes[at + 4] & 0x20) == 0;
    SIMCLR_CHECK(!critical || png_check(bytes.subspan(at + 4, length + 4)) == big_endian(&bytes[at + 8 + length], 4),
                 name, ": damaged PNG: a wrong checksum");
    if (std::memcmp(&bytes[at + 4], "IEND", 4) == 0) break;
    at += 12 + length;
  }
  return at;
}
#endif

#else

#ifndef SIMCLR_HAVE_PNG
[[noreturn]] void no_png(const std::string& name) {
  fail(name, ": this build has no PNG support; install libpng-dev or libstb-dev and build again");
}
#endif

#endif

}  // namespace

#if !defined(SIMCLR_HAVE_JPEG) && defined(SIMCLR_HAVE_STB)
Picture decode_jpeg(std::span<const std::uint8_t> bytes, const std::string& name) {
  check_jpeg(bytes, name);
  return decode(bytes, name, "JPEG");
}
#endif

#if !defined(SIMCLR_HAVE_PNG) && defined(SIMCLR_HAVE_STB)
namespace {

Picture decode_png(std::span<const std::uint8_t> bytes, const std::string& name, std::size_t sample_bytes) {
  constexpr std::uint8_t last_chunk[] = {0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xae, 0x42, 0x60, 0x82};
  const std::size_t end = check_png(bytes, name);
  if (end + sizeof last_chunk <= bytes.size() && std::memcmp(&bytes[end], last_chunk, sizeof last_chunk) == 0) {
    return decode(bytes, name, "PNG", sample_bytes);
  }
  std::vector<std::uint8_t> mended(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(end));
  mended.insert(mended.end(), std::begin(last_chunk), std::end(last_chunk));
  Picture picture = decode(mended, name, "PNG", sample_bytes);  // stb complains where pixels are missing
  picture.warning = name + no_end_marker;
  return picture;
}

}  // namespace

Picture decode_png(std::span<const std::uint8_t> bytes, const std::string& name) {
  return decode_png(bytes, name, 1);
}
#endif

#ifndef SIMCLR_HAVE_PNG
Raster decode_png_raster(std::span<const std::uint8_t> bytes, const std::string& name) {
#ifdef SIMCLR_HAVE_STB
  const bool deep = is_16_bit_png(bytes);
  Picture picture = decode_png(bytes, name, deep ? 2 : 1);
  turn_upright(picture, orientation_of(bytes, ".png"));
  return raster_of(std::move(picture), deep ? DType::u16 : DType::u8);
#else
  no_png(name);
#endif
}

std::vector<std::uint8_t> encode_png(const Picture& picture, const std::string& name) {
#ifdef SIMCLR_HAVE_STB
  std::vector<std::uint8_t> output;
  const auto append = [](void* context, void* data, int size) {
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    static_cast<std::vector<std::uint8_t>*>(context)->assign(bytes, bytes + size);
  };
  SIMCLR_CHECK(stbi_write_png_to_func(append, &output, picture.width, picture.height, picture.channels,
                                      picture.pixels.data(), picture.width * picture.channels),
               "write_png: ", name, ": no memory to encode it");
  return output;
#else
  no_png(name);
#endif
}
#endif

}  // namespace simclr::data

#endif
