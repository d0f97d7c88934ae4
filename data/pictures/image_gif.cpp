// The first picture of a GIF, as its standard (version 89a) has it.

#include "image_codecs.h"

#include <simclr/core/error.h>

#include <algorithm>
#include <array>
#include <optional>

namespace simclr::data {
namespace {

using Bytes = std::span<const std::uint8_t>;

struct Frame {
  std::size_t left = 0, top = 0, width = 0, height = 0;
  bool interlaced = false;
  Bytes palette;                            // r, g, b of each colour
  std::optional<std::uint8_t> transparent;  // the colour that is none
};

class Reader {
 public:
  Reader(Bytes bytes, const std::string& name) : rest_(bytes), name_(name) {}

  Picture read() {
    take(6);
    const Bytes screen = take(7);
    const Bytes global = palette(screen[4]);
    Frame frame;
    for (;;) {
      const std::uint8_t block = take(1)[0];
      if (block == 0x2c) break;
      if (block == 0x3b) damaged("it holds no picture");
      if (block == 0x21) read_extension(frame);  // anything else is skipped, as all readers do
    }
    const Bytes place = take(9);
    frame.left = little_endian(&place[0], 2);
    frame.top = little_endian(&place[2], 2);
    frame.width = little_endian(&place[4], 2);
    frame.height = little_endian(&place[6], 2);
    frame.interlaced = (place[8] & 0x40) != 0;
    const Bytes local = palette(place[8]);
    frame.palette = local.empty() ? global : local;
    check_size(std::int64_t(frame.height), std::int64_t(frame.width), name_);
    return paint(frame, std::max<std::size_t>(little_endian(&screen[0], 2), frame.left + frame.width),
                 std::max<std::size_t>(little_endian(&screen[2], 2), frame.top + frame.height));
  }

 private:
  [[noreturn]] void damaged(const char* what) const { fail(name_, ": damaged GIF: ", what); }

  Bytes take(std::size_t count) {
    if (count > rest_.size()) damaged("the file is truncated");
    const Bytes taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }

  Bytes palette(std::uint8_t flags) { return (flags & 0x80) != 0 ? take(std::size_t{6} << (flags & 7)) : Bytes(); }

  void read_extension(Frame& frame) {
    const std::uint8_t label = take(1)[0];
    for (std::size_t size = take(1)[0]; size > 0; size = take(1)[0]) {
      const Bytes block = take(size);
      if (label == 0xf9 && size >= 4 && (block[0] & 1) != 0) frame.transparent = block[3];
    }
  }

  /// The frame on a screen of that size. Around it and where it is transparent lies no colour.
  Picture paint(const Frame& frame, std::size_t width, std::size_t height) {
    Picture picture;
    const bool alpha = frame.transparent.has_value();
    check_size(std::int64_t(height), std::int64_t(width), name_);
    const std::vector<std::uint8_t> indices = decode(frame.width * frame.height);
    allocate(picture, std::int64_t(height), std::int64_t(width), alpha ? 4 : 3, name_);
    const std::size_t channels = alpha ? 4 : 3;
    const auto put = [&](std::uint8_t index, std::uint8_t* out) {
      for (std::size_t c = 0; c < 3; ++c) {
        const std::size_t at = std::size_t{3} * index + c;
        out[c] = frame.palette.empty() ? index : at < frame.palette.size() ? frame.palette[at] : std::uint8_t{0};
      }
      if (alpha) out[3] = index == *frame.transparent ? 0 : 255;
    };
    if (frame.width < width || frame.height < height) {
      for (std::size_t i = 0; i < width * height; ++i)
        put(frame.transparent.value_or(0), &picture.pixels[i * channels]);
    }
    std::size_t row = 0, first = 0, step = frame.interlaced ? 8 : 1;
    for (std::size_t y = 0; y < frame.height; ++y, row += step) {
      while (row >= frame.height) {  // the next pass of an interlaced picture: from rows 4, 2, 1 every 8th, 4th, 2nd
        first = first == 0 ? 4 : first / 2;
        step = 2 * first;
        row = first;
      }
      std::uint8_t* out = &picture.pixels[((frame.top + row) * width + frame.left) * channels];
      for (std::size_t x = 0; x < frame.width; ++x) put(indices[y * frame.width + x], out + x * channels);
    }
    return picture;
  }

  /// The next code of `bits` bits, over the borders of sub-blocks.
  unsigned code(int bits) {
    while (held_ < bits) {
      if (block_.empty()) {
        const std::size_t size = take(1)[0];
        if (size == 0) damaged("the file is truncated");
        block_ = take(size);
      }
      buffer_ |= unsigned{block_[0]} << held_;
      block_ = block_.subspan(1);
      held_ += 8;
    }
    const unsigned value = buffer_ & ((1u << bits) - 1);
    buffer_ >>= bits;
    held_ -= bits;
    return value;
  }

  /// LZW: `count` indices into the palette.
  std::vector<std::uint8_t> decode(std::size_t count) {
    const int smallest = take(1)[0];
    if (smallest < 1 || smallest > 11) damaged("an impossible size of its codes");
    const unsigned clear = 1u << smallest, end = clear + 1;
    std::vector<std::uint8_t> out;
    // Each code stands for a run of what was decoded before: where it begins, and its length.
    std::array<std::size_t, 4096> begin{}, length{};
    unsigned known = end + 1;
    int bits = smallest + 1;
    bool first = true;
    while (out.size() < count) {
      const unsigned next = code(bits);
      if (next == clear) {
        known = end + 1;
        bits = smallest + 1;
        first = true;
        continue;
      }
      if (next == end) damaged("pixels are missing");
      if (next > known || (first && next >= clear)) damaged("an impossible code");
      // The new code: the run before, and the first of this one, which lies behind it. It may be this one itself.
      const std::size_t here = out.size();
      if (!first && known < 4096) {
        begin[known] = last_begin_;
        length[known] = here - last_begin_ + 1;
        ++known;
        if (known == 1u << bits && bits < 12) ++bits;
      }
      if (next < clear) {
        out.push_back(static_cast<std::uint8_t>(next));
      } else {
        for (std::size_t i = 0; i < length[next] && out.size() < count; ++i) out.push_back(out[begin[next] + i]);
      }
      last_begin_ = here;
      first = false;
    }
    return out;
  }

  Bytes rest_, block_;
  const std::string& name_;
  unsigned buffer_ = 0;
  int held_ = 0;
  std::size_t last_begin_ = 0;  // of the run before
};

}  // namespace

Picture decode_gif(std::span<const std::uint8_t> bytes, const std::string& name) {
  return Reader(bytes, name).read();
}

}  // namespace simclr::data
