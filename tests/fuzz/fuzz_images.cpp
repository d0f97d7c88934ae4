#include "targets.h"

#include <simclr/data/pictures/image_io.h>

namespace simclr::fuzz {
namespace {

std::uint64_t big_endian(Bytes bytes) {
  std::uint64_t value = 0;
  for (const std::uint8_t byte : bytes) value = 256 * value + byte;
  return value;
}

/// Whether something in the bytes may be a header that promises many pixels: decoding these would only be slow.
bool may_be_large(Bytes bytes) {
  constexpr std::uint64_t most = 1 << 20;
  if (bytes.size() >= 24 && bytes[0] == 0x89)
    return big_endian(bytes.subspan(16, 4)) * big_endian(bytes.subspan(20, 4)) > most;
  for (std::size_t i = 0; i + 9 <= bytes.size(); ++i) {
    const bool frame = bytes[i] == 0xff && bytes[i + 1] >= 0xc0 && bytes[i + 1] <= 0xcf && bytes[i + 1] != 0xc4;
    if (frame && big_endian(bytes.subspan(i + 5, 2)) * big_endian(bytes.subspan(i + 7, 2)) > most) return true;
  }
  return false;
}

}  // namespace

void images(Bytes bytes) {
  if (may_be_large(bytes)) return;
  std::string message;
  succeeds(
      [&] {
        const data::Picture picture = data::decode_picture(bytes, "picture");
        const bool possible = picture.height > 0 && picture.width > 0 &&
                              (picture.channels == 1 || picture.channels == 3 || picture.channels == 4);
        if (!possible) finding("an impossible picture");
        if (picture.pixels.size() !=
            std::size_t(picture.height) * std::size_t(picture.width) * std::size_t(picture.channels)) {
          finding("pixels that are not the picture's size");
        }
        (void)data::samples_of_16_bits(bytes, "picture");
      },
      message);
}

}  // namespace simclr::fuzz
