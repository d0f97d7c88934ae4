// Animated PNGs, as the PNG specification's third edition has them: the first frame is a PNG's own picture, IDAT, and
// the others lie in fdAT chunks, which other readers pass over.
#include "image_codecs.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/image_io.h>

#include <algorithm>
#include <string_view>

namespace simclr::data {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t around = 12;       // bytes of a chunk around its content
constexpr std::size_t signature = 8;     // bytes before the chunks
constexpr std::size_t with_header = 33;  // and with the first of them, IHDR, which says the size and the kind

void append(Bytes& out, std::uint32_t number) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(number >> shift));
}

void append_chunk(Bytes& png, std::string_view type, std::span<const std::uint8_t> content) {
  append(png, static_cast<std::uint32_t>(content.size()));
  const std::size_t begin = png.size();
  png.insert(png.end(), type.begin(), type.end());
  png.insert(png.end(), content.begin(), content.end());
  append(png, png_check(std::span(png).subspan(begin)));
}

/// Calls use(type, content) for each chunk of a PNG, to the last. Throws Error where that, or its data, is not there.
template <class Use>
void for_each_chunk(std::span<const std::uint8_t> png, const Use& use) {
  bool data = false;
  for (std::size_t at = signature;;) {
    const std::size_t size = at + around <= png.size() ? big_endian(&png[at], 4) : png.size();
    SIMCLR_CHECK(at + around + size <= png.size(), "animated_png: a frame that is cut off");
    const std::string_view type(reinterpret_cast<const char*>(&png[at + 4]), 4);
    data = data || type == "IDAT";
    SIMCLR_CHECK(data || type != "IEND", "animated_png: a frame that is cut off, without its data");
    use(type, png.subspan(at + 8, size));
    if (type == "IEND") return;
    at += size + around;
  }
}

/// What comes before a frame's data: its number, size, place and time. `header`: IHDR's content.
Bytes frame_control(std::uint32_t number, std::span<const std::uint8_t> header, int frames_a_second) {
  Bytes control;
  append(control, number);
  append(control, big_endian(&header[0], 4));  // width
  append(control, big_endian(&header[4], 4));
  append(control, 0);
  append(control, 0);
  append(control, std::uint32_t{1} << 16 | static_cast<std::uint32_t>(frames_a_second));  // one over that
  control.push_back(0);                                                                   // it stays
  control.push_back(0);                                                                   // and covers what was there
  return control;
}

}  // namespace

Bytes animated_png(const std::vector<Bytes>& frames, int frames_a_second) {
  SIMCLR_CHECK(!frames.empty() && frames_a_second >= 1 && frames_a_second <= 0xffff,
               "animated_png: ", counted(std::ssize(frames), "frame"), ", ", frames_a_second,
               " a second; one or more, and 1 to 65535 are possible");
  const Bytes& first = frames.front();
  for (const Bytes& frame : frames) {
    SIMCLR_CHECK(picture_kind(frame) == ".png" && frame.size() >= with_header && first.size() >= with_header &&
                     std::equal(first.begin(), first.begin() + with_header, frame.begin()),
                 "animated_png: the frames are no PNG files of one size and kind");
  }
  if (frames.size() == 1) {
    for_each_chunk(first, [](std::string_view, std::span<const std::uint8_t>) {});
    return first;
  }
  const auto header = std::span(first).subspan(signature + 8);
  Bytes png(first.begin(), first.begin() + signature);
  std::uint32_t number = 0;
  for (std::size_t k = 0; k < frames.size(); ++k) {
    bool begun = false;
    for_each_chunk(frames[k], [&](std::string_view type, std::span<const std::uint8_t> content) {
      if (type == "IDAT") {
        if (!begun) append_chunk(png, "fcTL", frame_control(number++, header, frames_a_second));
        begun = true;
        if (k == 0) return append_chunk(png, "IDAT", content);
        Bytes numbered;
        append(numbered, number++);
        numbered.insert(numbered.end(), content.begin(), content.end());
        append_chunk(png, "fdAT", numbered);
      } else if (k == 0 && type != "IEND") {
        append_chunk(png, type, content);
        if (type != "IHDR") return;
        Bytes control;
        append(control, static_cast<std::uint32_t>(frames.size()));
        append(control, 0);  // for ever
        append_chunk(png, "acTL", control);
      }
    });
  }
  append_chunk(png, "IEND", {});
  return png;
}

}  // namespace simclr::data
