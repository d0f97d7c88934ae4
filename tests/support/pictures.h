#pragma once

// Small JPEG, PNG and gzip files, made byte by byte, so that tests need no encoder and can damage what they like.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace simclr::test {

using Bytes = std::vector<std::uint8_t>;

inline void append_be(Bytes& bytes, std::uint32_t value, int count) {
  for (int i = count - 1; i >= 0; --i) bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

/// A baseline JPEG of `height` x `width` pixels in flat blocks of 8 x 8. levels[block * components + c] is component
/// c (Y, Cb, Cr) of the block, row by row; grey for one component; for four what Adobe's transform says: 0 is CMYK, 2
/// is YCCK, -1 leaves it unsaid.
inline Bytes flat_jpeg(int height, int width, int components, const Bytes& levels, int transform = 0) {
  Bytes jpeg = {0xff, 0xd8};
  const auto segment = [&](std::uint8_t marker, const Bytes& content) {
    jpeg.insert(jpeg.end(), {0xff, marker});
    append_be(jpeg, static_cast<std::uint32_t>(content.size() + 2), 2);
    jpeg.insert(jpeg.end(), content.begin(), content.end());
  };
  Bytes quantisation(65, 1);
  quantisation[0] = 0;  // table 0
  quantisation[1] = 8;  // so that the DC coefficient is the level minus 128
  segment(0xdb, quantisation);
  if (components == 4 && transform >= 0) {
    segment(0xee, {'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, static_cast<std::uint8_t>(transform)});
  }
  Bytes frame = {8};
  append_be(frame, static_cast<std::uint32_t>(height), 2);
  append_be(frame, static_cast<std::uint32_t>(width), 2);
  frame.push_back(static_cast<std::uint8_t>(components));
  Bytes scan = {static_cast<std::uint8_t>(components)};
  for (int c = 1; c <= components; ++c) {
    frame.insert(frame.end(), {static_cast<std::uint8_t>(c), 0x11, 0});
    scan.insert(scan.end(), {static_cast<std::uint8_t>(c), 0});
  }
  segment(0xc0, frame);
  // DC: nine codes of four bits, for differences of 0 to 8 bits. AC: "0" ends the block.
  segment(0xc4, {0x00, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8});
  segment(0xc4, {0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  scan.insert(scan.end(), {0, 63, 0});
  segment(0xda, scan);

  std::uint32_t buffer = 0;
  int held = 0;
  const auto put = [&](std::uint32_t bits, int count) {
    for (int i = count - 1; i >= 0; --i) {
      buffer = buffer << 1 | (bits >> i & 1u);
      if (++held < 8) continue;
      jpeg.push_back(static_cast<std::uint8_t>(buffer));
      if (jpeg.back() == 0xff) jpeg.push_back(0);
      held = 0;
    }
  };
  std::vector<int> before(static_cast<std::size_t>(components), 128);
  for (std::size_t i = 0; i < levels.size(); ++i) {
    int& previous = before[i % static_cast<std::size_t>(components)];
    const int difference = levels[i] - previous;
    previous = levels[i];
    int bits = 0;
    while (difference >= 1 << bits || -difference >= 1 << bits) ++bits;
    put(static_cast<std::uint32_t>(bits), 4);
    put(static_cast<std::uint32_t>(difference < 0 ? difference + (1 << bits) - 1 : difference), bits);
    put(0, 1);
  }
  while (held != 0) put(1, 1);
  jpeg.insert(jpeg.end(), {0xff, 0xd9});
  return jpeg;
}

/// CRC-32 as PNG has it.
inline std::uint32_t crc32_of(const Bytes& bytes) {
  std::uint32_t crc = 0xffffffffu;
  for (const std::uint8_t byte : bytes) {
    crc ^= byte;
    for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ (crc & 1u ? 0xedb88320u : 0u);
  }
  return ~crc;
}

/// Appends DEFLATE's stored blocks: no compression.
inline void append_stored(Bytes& out, const Bytes& bytes) {
  std::size_t done = 0;
  do {
    const std::size_t count = std::min<std::size_t>(bytes.size() - done, 65535);
    out.push_back(done + count == bytes.size());
    for (const std::size_t word : {count, ~count}) {
      out.insert(out.end(), {static_cast<std::uint8_t>(word), static_cast<std::uint8_t>(word >> 8)});
    }
    out.insert(out.end(), bytes.begin() + static_cast<std::ptrdiff_t>(done),
               bytes.begin() + static_cast<std::ptrdiff_t>(done + count));
    done += count;
  } while (done < bytes.size());
}

/// A gzip file.
inline Bytes gzipped(const Bytes& bytes) {
  Bytes out = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
  append_stored(out, bytes);
  for (const std::uint32_t word : {crc32_of(bytes), static_cast<std::uint32_t>(bytes.size())}) {
    for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<std::uint8_t>(word >> shift));
  }
  return out;
}

/// Appends a PNG chunk with its checksum.
inline void append_chunk(Bytes& png, std::string_view type, const Bytes& content) {
  append_be(png, static_cast<std::uint32_t>(content.size()), 4);
  Bytes checked(type.begin(), type.end());
  checked.insert(checked.end(), content.begin(), content.end());
  png.insert(png.end(), checked.begin(), checked.end());
  append_be(png, crc32_of(checked), 4);
}

/// PNG's colour types.
enum : std::uint8_t { png_grey = 0, png_rgb = 2, png_palette = 3, png_grey_alpha = 4, png_rgb_alpha = 6 };

/// A PNG whose rows, without filter bytes, are `rows` (uncompressed inside). PLTE and tRNS come where they are given.
inline Bytes plain_png(int height, int width, std::uint8_t depth, std::uint8_t type, const Bytes& rows,
                       const Bytes& palette = {}, const Bytes& transparency = {}) {
  Bytes png = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  Bytes header;
  append_be(header, static_cast<std::uint32_t>(width), 4);
  append_be(header, static_cast<std::uint32_t>(height), 4);
  header.insert(header.end(), {depth, type, 0, 0, 0});
  append_chunk(png, "IHDR", header);
  if (!palette.empty()) append_chunk(png, "PLTE", palette);
  if (!transparency.empty()) append_chunk(png, "tRNS", transparency);
  Bytes filtered;
  const std::size_t stride = rows.size() / static_cast<std::size_t>(height);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i % stride == 0) filtered.push_back(0);
    filtered.push_back(rows[i]);
  }
  Bytes packed = {0x78, 0x01};  // zlib's header
  append_stored(packed, filtered);
  std::uint32_t a = 1, b = 0;
  for (const std::uint8_t byte : filtered) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  append_be(packed, b << 16 | a, 4);
  append_chunk(png, "IDAT", packed);
  append_chunk(png, "IEND", {});
  return png;
}

/// A 16 x 24 colour JPEG: six flat blocks.
inline Bytes small_jpeg() {
  return flat_jpeg(16, 24, 3, {10, 128, 128, 200, 128, 128, 90, 60, 170, 40, 200, 100, 255, 128, 128, 0, 128, 128});
}

inline Bytes small_png() {
  return plain_png(2, 2, 8, png_rgb, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
}

}  // namespace simclr::test
