// Bitmaps of Windows and OS/2.

#include "image_codecs.h"

#include <simclr/core/error.h>

#include <algorithm>
#include <array>
#include <bit>

namespace simclr::data {
namespace {

using Bytes = std::span<const std::uint8_t>;

enum : std::uint32_t { plain = 0, runs_of_8_bits = 1, runs_of_4_bits = 2, masks_follow = 3, four_masks_follow = 6 };

class Reader {
 public:
  Reader(Bytes bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  Picture read() {
    read_header();
    check_size(height_, width_, name_);
    if (bits_ <= 8) read_palette();
    if (compression_ == masks_follow || compression_ == four_masks_follow) {
      read_masks();
    } else if (bits_ == 16) {
      masks_ = {0x7c00, 0x3e0, 0x1f, 0};
    }
    return compression_ == runs_of_8_bits || compression_ == runs_of_4_bits ? read_runs() : read_rows();
  }

 private:
  [[noreturn]] void damaged(const char* what) const { fail(name_, ": damaged or unsupported BMP: ", what); }

  std::uint32_t number(std::size_t at, int count) const {
    if (at + static_cast<std::size_t>(count) > bytes_.size()) damaged("the file is truncated");
    return little_endian(&bytes_[at], count);
  }

  void read_header() {
    data_ = number(10, 4);
    header_ = number(14, 4);
    if (header_ == 12) {  // OS/2's first
      width_ = number(18, 2);
      height_ = number(20, 2);
      bits_ = number(24, 2);
    } else {
      width_ = static_cast<std::int32_t>(number(18, 4));
      height_ = static_cast<std::int32_t>(number(22, 4));
      bits_ = number(28, 2);
      if (header_ >= 20) compression_ = number(30, 4);
      if (header_ >= 36) colours_ = number(46, 4);
    }
    top_down_ = height_ < 0;
    if (top_down_) height_ = -height_;
    if (!is_header(header_)) damaged("a header of an unknown size");
    const bool os2 = header_ == 64 || header_ < 40;  // where 3 and 4 mean something else
    const bool known =
        compression_ == plain || (compression_ == runs_of_8_bits && bits_ == 8) ||
        (compression_ == runs_of_4_bits && bits_ == 4) ||
        (!os2 && (bits_ == 16 || bits_ == 32) && (compression_ == masks_follow || compression_ == four_masks_follow));
    if (!known) damaged("its way of compression is not read");
    if (bits_ != 1 && bits_ != 2 && bits_ != 4 && bits_ != 8 && bits_ != 16 && bits_ != 24 && bits_ != 32) {
      damaged("an impossible number of bits");
    }
  }

  static bool is_header(std::size_t size) {
    for (const std::size_t known : {12, 16, 40, 52, 56, 64, 108, 124}) {
      if (size == known) return true;
    }
    return false;
  }

  void read_palette() {
    const std::size_t size = header_ == 12 ? 3 : 4, begin = 14 + header_;
    const std::size_t most = std::size_t{1} << bits_;
    if (colours_ > bytes_.size() / size) damaged("a palette larger than the file");
    if (colours_ > 0) data_ = std::max(data_, begin + size * colours_);
    const std::size_t room = data_ > begin ? (data_ - begin) / size : 0;
    const std::size_t count = std::min(colours_ == 0 ? most : std::min<std::size_t>(colours_, most), room);
    for (std::size_t i = 0; i < count; ++i) {
      for (std::size_t c = 0; c < 3; ++c)
        palette_[i][c] = static_cast<std::uint8_t>(number(begin + size * i + 2 - c, 1));
    }
  }

  void read_masks() {
    const bool fourth = header_ >= 56 || compression_ == four_masks_follow;
    for (std::size_t c = 0; c < (fourth ? 4 : 3); ++c) masks_[c] = number(54 + 4 * c, 4);
    for (const std::uint32_t mask : masks_) {
      if (mask != 0 && !std::has_single_bit((std::uint64_t{mask} >> std::countr_zero(mask)) + 1)) {
        damaged("a mask with holes");
      }
    }
    if (bits_ == 16 && (masks_[0] | masks_[1] | masks_[2]) == 0) damaged("masks of no bits");
  }

  /// The part of a pixel that a mask cuts out, as 0..255.
  static std::uint8_t part(std::uint32_t pixel, std::uint32_t mask) {
    if (mask == 0) return 0;
    const int shift = std::countr_zero(mask);
    return static_cast<std::uint8_t>(std::uint64_t{(pixel & mask) >> shift} * 255 / (mask >> shift));
  }

  std::uint8_t* row(Picture& picture, std::int64_t from_first) const {
    const std::int64_t y = top_down_ ? from_first : height_ - 1 - from_first;
    return &picture.pixels[static_cast<std::size_t>(y * width_ * picture.channels)];
  }

  Picture read_rows() {
    const std::size_t stride = (static_cast<std::size_t>(width_) * bits_ + 31) / 32 * 4;
    const std::size_t needed =
        stride * static_cast<std::size_t>(height_ - 1) + (static_cast<std::size_t>(width_) * bits_ + 7) / 8;
    if (data_ > bytes_.size() || bytes_.size() - data_ < needed) damaged("the file is truncated");
    const bool alpha = masks_[3] != 0;
    Picture picture;
    allocate(picture, height_, width_, alpha ? 4 : 3, name_);
    for (std::int64_t y = 0; y < height_; ++y) {
      const std::uint8_t* in = &bytes_[data_ + static_cast<std::size_t>(y) * stride];
      std::uint8_t* out = row(picture, y);
      for (std::size_t x = 0; x < static_cast<std::size_t>(width_); ++x, out += picture.channels) {
        if (bits_ <= 8) {
          const unsigned index = in[x * bits_ / 8] >> (8 - bits_ - x * bits_ % 8) & ((1u << bits_) - 1);
          std::copy_n(palette_[index].data(), 3, out);
        } else if (masks_[0] != 0 || masks_[1] != 0 || masks_[2] != 0) {
          const std::uint32_t pixel = little_endian(in + x * bits_ / 8, static_cast<int>(bits_ / 8));
          for (std::size_t c = 0; c < (alpha ? 4 : 3); ++c) out[c] = part(pixel, masks_[c]);
        } else {
          for (std::size_t c = 0; c < 3; ++c) out[c] = in[x * bits_ / 8 + 2 - c];
        }
      }
    }
    return picture;
  }

  /// Runs of one colour, or of two by turns; 0 and a number are an order: 0 ends the row, 1 the picture, 2 moves on.
  /// What is left out is of the first colour.
  Picture read_runs() {
    check_packing(height_ * width_, bytes_.size(), 128, name_);  // two bytes make 255 pixels
    Picture picture;
    allocate(picture, height_, width_, 3, name_);
    for (std::size_t i = 0; i < picture.pixels.size(); ++i) picture.pixels[i] = palette_[0][i % 3];
    const bool nibbles = bits_ == 4;
    std::size_t at = data_;
    std::int64_t x = 0, y = 0;
    const auto put = [&](std::uint8_t byte, std::size_t i) {
      const unsigned index = nibbles ? (i % 2 == 0 ? byte >> 4 : byte & 15) : byte;
      if (y < height_ && x < width_) std::copy_n(palette_[index].data(), 3, row(picture, y) + 3 * x);
      ++x;
    };
    for (;;) {
      if (y + 1 == height_ && x >= width_ && at >= bytes_.size()) return picture;  // whole, without its end
      const std::uint32_t count = number(at, 1), value = number(at + 1, 1);
      at += 2;
      if (count > 0) {
        for (std::size_t i = 0; i < count; ++i) put(static_cast<std::uint8_t>(value), i);
      } else if (value == 0) {
        x = 0;
        ++y;
      } else if (value == 1) {
        return picture;
      } else if (value == 2) {
        x += number(at, 1);
        y += number(at + 1, 1);
        at += 2;
      } else {
        for (std::size_t i = 0; i < value; ++i) {
          put(static_cast<std::uint8_t>(number(at + (nibbles ? i / 2 : i), 1)), i);
        }
        const std::size_t size = nibbles ? (value + 1) / 2 : value;
        at += size + size % 2;
      }
    }
  }

  Bytes bytes_;
  const std::string& name_;
  std::size_t data_ = 0, header_ = 0;
  std::int64_t width_ = 0, height_ = 0;
  std::uint32_t bits_ = 0, compression_ = plain, colours_ = 0;
  bool top_down_ = false;
  std::array<std::array<std::uint8_t, 3>, 256> palette_{};
  std::array<std::uint32_t, 4> masks_{};  // red, green, blue, alpha
};

}  // namespace

Picture decode_bmp(std::span<const std::uint8_t> bytes, const std::string& name) {
  return Reader(bytes, name).read();
}

}  // namespace simclr::data
