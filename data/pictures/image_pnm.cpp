#include "image_codecs.h"

#include <simclr/core/error.h>

#include <cctype>
#include <cstring>
#include <utility>

namespace simclr::data {
namespace {

/// A portable bitmap, greymap or pixmap on its way in.
class Reader {
 public:
  /// `deep`: samples of more than 8 bits keep them all.
  Reader(std::span<const std::uint8_t> bytes, const std::string& name, bool deep)
      : rest_(bytes), name_(name), deep_(deep) {}

  [[noreturn]] void damaged(const char* what) const { fail(name_, ": damaged PNM: ", what); }

  Picture read() {
    const int kind = rest_[1] - '0';
    rest_ = rest_.subspan(2);
    const bool plain = kind <= 3, bits = kind == 1 || kind == 4;
    const std::uint32_t width = number(), height = number();
    const std::uint32_t largest = bits ? 1 : number();
    deep_ = deep_ && largest > 255;
    if (largest < 1 || largest > 65535) damaged("its largest value is not in 1 to 65535");
    check_size(height, width, name_);
    const int channels = kind % 3 == 0 ? 3 : 1;
    if (!plain && !rest_.empty()) rest_ = rest_.subspan(1);  // the white space behind the header
    // Before memory is taken: what the samples need at least.
    const std::size_t row = std::size_t{width} * static_cast<std::size_t>(channels);
    const std::size_t stride = plain ? row : bits ? (row + 7) / 8 : largest > 255 ? 2 * row : row;
    if (rest_.size() / stride < height) damaged("the file is truncated");
    Picture picture;  // its channels are the samples' bytes
    allocate(picture, height, width, channels * (deep_ ? 2 : 1), name_);
    std::uint8_t* out = picture.pixels.data();
    for (std::uint32_t y = 0; y < height; ++y, out += deep_ ? 2 * row : row) {
      for (std::size_t x = 0; x < row; ++x) {
        if (bits) {
          out[x] = (plain ? bit() : rest_[x / 8] >> (7 - x % 8) & 1) != 0 ? 0 : 255;
          continue;
        }
        const std::uint32_t value = plain ? number() : largest > 255 ? big_endian(&rest_[2 * x], 2) : rest_[x];
        if (value > largest) damaged("a value is larger than the largest");
        if (deep_) {
          const auto word = static_cast<std::uint16_t>((std::uint64_t{65535} * value + largest / 2) / largest);
          std::memcpy(out + 2 * x, &word, 2);
        } else {
          out[x] = static_cast<std::uint8_t>((510 * value + largest) / (2 * largest));  // rounded
        }
      }
      if (!plain) rest_ = rest_.subspan(stride);
    }
    return picture;
  }

  Raster read_raster() {
    Picture picture = read();
    return raster_of(std::move(picture), deep_ ? DType::u16 : DType::u8);
  }

 private:
  /// The next character that is neither white space nor in a comment; it stays.
  std::uint8_t next() {
    bool comment = false;
    for (; !rest_.empty(); rest_ = rest_.subspan(1)) {
      comment = rest_[0] == '#' || (comment && rest_[0] != '\n' && rest_[0] != '\r');
      if (!comment && std::isspace(rest_[0]) == 0) return rest_[0];
    }
    damaged("the file is truncated");
  }

  std::uint32_t number() {
    if (std::isdigit(next()) == 0) damaged("a number is expected");
    std::uint32_t value = 0;
    for (; !rest_.empty() && std::isdigit(rest_[0]) != 0; rest_ = rest_.subspan(1)) {
      value = 10 * value + (rest_[0] - '0');
      if (value > 100'000'000) damaged("a number is too large");
    }
    return value;
  }

  /// Of a plain bitmap, whose digits need no space between them.
  int bit() {
    const std::uint8_t digit = next();
    if (digit != '0' && digit != '1') damaged("a bit is neither 0 nor 1");
    rest_ = rest_.subspan(1);
    return digit - '0';
  }

  std::span<const std::uint8_t> rest_;
  const std::string& name_;
  bool deep_;
};

}  // namespace

Picture decode_pnm(std::span<const std::uint8_t> bytes, const std::string& name) {
  return Reader(bytes, name, false).read();
}

Raster decode_pnm_raster(std::span<const std::uint8_t> bytes, const std::string& name) {
  return Reader(bytes, name, true).read_raster();
}

}  // namespace simclr::data
