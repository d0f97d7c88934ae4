#include "orientation.h"

#include "image_codecs.h"

#ifdef SIMCLR_HAVE_ZLIB
#include <zlib.h>
#endif

#include <algorithm>
#include <cctype>
#include <utility>

namespace simclr::data {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr int most_packed_texts = 16;  // of a PNG, which may have millions of a few bytes: each costs a text of 256 KiB

std::string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// What EXIF and XMP data say, each 0 where it says nothing.
struct Found {
  int exif = 0, xmp = 0;
};

int valid(std::uint32_t orientation) {
  return orientation >= 1 && orientation <= 8 ? static_cast<int>(orientation) : 0;
}

/// Of EXIF data, which are a TIFF file: the tag 274 of its first directory.
void take_exif(Bytes exif, Found& found) {
  using namespace std::string_view_literals;
  if (text_of(exif).starts_with("Exif\0\0"sv)) exif = exif.subspan(6);
  const bool little = text_of(exif).starts_with("II*\0"sv);
  if (exif.size() < 8 || (!little && !text_of(exif).starts_with("MM\0*"sv))) return;
  const auto number = [&](std::size_t at, int count) {
    return little ? little_endian(&exif[at], count) : big_endian(&exif[at], count);
  };
  const std::size_t directory = number(4, 4);
  if (directory > exif.size() - 2) return;
  const std::size_t entries = number(directory, 2);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t at = directory + 2 + 12 * i;
    if (at + 12 > exif.size()) return;
    if (number(at, 2) != 274) continue;
    const std::uint32_t type = number(at + 2, 2);  // 3: two bytes, 4: four
    if (type == 3 || type == 4) found.exif = valid(number(at + 8, type == 3 ? 2 : 4));
    return;
  }
}

void take_xmp(std::string_view xmp, Found& found) {
  constexpr std::string_view name = "tiff:Orientation";
  const std::size_t at = xmp.find(name);
  if (at == std::string_view::npos) return;
  std::string_view rest = xmp.substr(at + name.size());
  if (rest.starts_with("=\"") || rest.starts_with("='")) {
    rest.remove_prefix(2);
  } else if (rest.starts_with(">")) {
    rest.remove_prefix(1);
  }
  if (!rest.empty()) found.xmp = valid(static_cast<std::uint32_t>(rest[0]) - '0');
}

Found of_jpeg(Bytes bytes) {
  using namespace std::string_view_literals;
  constexpr std::string_view xmp_name = "http://ns.adobe.com/xap/1.0/\0"sv;
  Found found;
  for (std::size_t at = 2; at + 4 <= bytes.size() && bytes[at] == 0xff;) {
    const std::uint8_t marker = bytes[at + 1];
    if (marker == 0xff) {
      ++at;
      continue;
    }
    const std::size_t length = big_endian(&bytes[at + 2], 2);
    if (marker == 0xda || marker == 0xd9 || length < 2 || at + 2 + length > bytes.size()) break;
    const Bytes segment = bytes.subspan(at + 4, length - 2);
    if (marker == 0xe1 && found.exif == 0 && text_of(segment).starts_with("Exif\0\0"sv)) take_exif(segment, found);
    if (marker == 0xe1 && text_of(segment).starts_with(xmp_name)) take_xmp(text_of(segment), found);
    at += 2 + length;
  }
  return found;
}

/// The beginning of what zlib packed; empty in a build without it.
std::vector<std::uint8_t> unpacked(Bytes packed) {
#ifdef SIMCLR_HAVE_ZLIB
  std::vector<std::uint8_t> out(std::size_t{1} << 18);
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) return {};
  stream.next_in = const_cast<Bytef*>(packed.data());
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  inflate(&stream, Z_SYNC_FLUSH);
  inflateEnd(&stream);
  return std::vector<std::uint8_t>(out.data(), stream.next_out);
#else
  (void)packed;
  return {};
#endif
}

/// What some programs write into a PNG's text: white space, a name, the count of bytes, the bytes in hexadecimal.
void take_raw_profile(std::string_view text, Found& found) {
  for (int word = 0; word < 2; ++word) {
    text = text.substr(std::min(text.find_first_not_of(" \n"), text.size()));
    text = text.substr(std::min(text.find_first_of(" \n"), text.size()));
  }
  std::vector<std::uint8_t> bytes;
  int digits = 0, value = 0;
  for (const char c : text) {
    if (c == '\n' || c == ' ') continue;
    if (std::isxdigit(static_cast<unsigned char>(c)) == 0) break;
    value = 16 * value + (c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    if (++digits % 2 == 0) bytes.push_back(static_cast<std::uint8_t>(std::exchange(value, 0)));
  }
  take_exif(bytes, found);
}

/// `packed_texts`: how many of the file were unpacked before.
void take_png_text(std::string_view type, Bytes chunk, Found& found, int& packed_texts) {
  const std::string_view text = text_of(chunk);
  const std::size_t end = std::min(text.find('\0'), text.size());
  const std::string_view key = text.substr(0, end);
  if (key != "XML:com.adobe.xmp" && !key.starts_with("Raw profile type ")) return;
  // Behind the keyword: zTXt has one more byte before its packed text; iTXt has two, the first of which says whether it
  // is packed, then two more strings.
  bool packed = type == "zTXt";
  std::size_t at = end + (packed ? 2 : 1);
  if (type == "iTXt") {
    packed = end + 1 < chunk.size() && chunk[end + 1] != 0;
    at = end + 3;
    for (int i = 0; i < 2; ++i)
      at = text.find('\0', at) == std::string_view::npos ? text.size() : text.find('\0', at) + 1;
  }
  if (at >= chunk.size()) return;
  if (packed && ++packed_texts > most_packed_texts) return;
  const std::vector<std::uint8_t> more = packed ? unpacked(chunk.subspan(at)) : std::vector<std::uint8_t>();
  const std::string_view content = packed ? text_of(more) : text.substr(at);
  if (key == "XML:com.adobe.xmp" || key == "Raw profile type xmp") {
    take_xmp(content, found);
  } else if (key == "Raw profile type exif" || key == "Raw profile type APP1") {
    take_raw_profile(content, found);
  }
}

Found of_png(Bytes bytes) {
  Found found;
  int packed_texts = 0;
  for (std::size_t at = 8; at + 12 <= bytes.size();) {
    const std::size_t length = big_endian(&bytes[at], 4);
    if (length > bytes.size() - at - 12) break;
    const std::string_view type = text_of(bytes.subspan(at + 4, 4));
    const Bytes chunk = bytes.subspan(at + 8, length);
    if (type == "eXIf") take_exif(chunk, found);
    if (type == "tEXt" || type == "zTXt" || type == "iTXt") take_png_text(type, chunk, found, packed_texts);
    at += 12 + length;
  }
  return found;
}

Found of_webp(Bytes bytes) {
  Found found;
  for (std::size_t at = 12; at + 8 <= bytes.size();) {
    const std::size_t length = little_endian(&bytes[at + 4], 4);
    if (length > bytes.size() - at - 8) break;
    const Bytes chunk = bytes.subspan(at + 8, length);
    if (text_of(bytes.subspan(at, 4)) == "EXIF") take_exif(chunk, found);
    if (text_of(bytes.subspan(at, 4)) == "XMP ") take_xmp(text_of(chunk), found);
    at += 8 + length + length % 2;
  }
  return found;
}

}  // namespace

int orientation_of(Bytes bytes, const std::string& kind) {
  const Found found = kind == ".jpg"    ? of_jpeg(bytes)
                      : kind == ".png"  ? of_png(bytes)
                      : kind == ".webp" ? of_webp(bytes)
                                        : Found();
  return found.exif != 0 ? found.exif : found.xmp != 0 ? found.xmp : 1;
}

void turn_upright(Picture& picture, int orientation) {
  if (orientation <= 1 || orientation > 8) return;
  const std::size_t height = static_cast<std::size_t>(picture.height), width = static_cast<std::size_t>(picture.width);
  const std::size_t channels = static_cast<std::size_t>(picture.channels);
  const bool transposed = orientation >= 5;
  // Where the row of the file begins, from the bottom, and its column, from the right.
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  std::vector<std::uint8_t> turned(picture.pixels.size());
  std::uint8_t* out = turned.data();
  for (std::size_t y = 0; y < (transposed ? width : height); ++y) {
    for (std::size_t x = 0; x < (transposed ? height : width); ++x, out += channels) {
      const std::size_t row = transposed ? x : y, column = transposed ? y : x;
      const std::size_t pixel =
          (from_bottom ? height - 1 - row : row) * width + (from_right ? width - 1 - column : column);
      std::copy_n(&picture.pixels[pixel * channels], channels, out);
    }
  }
  picture.pixels = std::move(turned);
  if (transposed) std::swap(picture.height, picture.width);
}

}  // namespace simclr::data
