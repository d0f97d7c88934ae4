#include "modalities/shown_clip.h"

#include "modalities/shown_picture.h"

#include <simclr/core/error.h>
#include <simclr/data/video/clip_io.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace data = simclr::data;

namespace {

constexpr std::int64_t most_shown = 16;  // frames
constexpr std::uint16_t frames_a_second = 8;
constexpr std::size_t signature = 8, around = 12;  // bytes of a PNG before its chunks, and of a chunk around its data

void append(std::vector<std::uint8_t>& out, std::uint32_t number) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(number >> shift));
}

std::uint32_t number_at(std::span<const std::uint8_t> bytes) {
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 | bytes[3];
}

/// PNG's check of a chunk: CRC-32.
std::uint32_t check_of(std::span<const std::uint8_t> bytes) {
  std::uint32_t crc = 0xffffffffu;
  for (const std::uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1u) != 0 ? 0xedb88320u : 0u);
  }
  return ~crc;
}

void append_chunk(std::vector<std::uint8_t>& png, std::string_view type, std::span<const std::uint8_t> content) {
  append(png, static_cast<std::uint32_t>(content.size()));
  const std::size_t begin = png.size();
  png.insert(png.end(), type.begin(), type.end());
  png.insert(png.end(), content.begin(), content.end());
  append(png, check_of(std::span(png).subspan(begin)));
}

/// Calls use(type, content) for each chunk of a PNG.
template <class Use>
void for_each_chunk(std::span<const std::uint8_t> png, const Use& use) {
  for (std::size_t at = signature; at + around <= png.size();) {
    const std::size_t size = number_at(png.subspan(at));
    use(std::string_view(reinterpret_cast<const char*>(png.data()) + at + 4, 4), png.subspan(at + 8, size));
    at += size + around;
  }
}

/// What comes before a frame's data: its size, place and time.
std::vector<std::uint8_t> frame_control(std::uint32_t number, const Shown& frame) {
  std::vector<std::uint8_t> control;
  append(control, number);
  append(control, static_cast<std::uint32_t>(frame.width));
  append(control, static_cast<std::uint32_t>(frame.height));
  append(control, 0);
  append(control, 0);
  append(control, std::uint32_t{1} << 16 | frames_a_second);  // one over that
  control.push_back(0);                                       // it stays
  control.push_back(0);                                       // and covers what was there
  return control;
}

/// PNGs of one size and kind as an animated one.
Shown animated(const std::vector<Shown>& frames) {
  Shown all{.type = "image/png", .bytes = {}, .width = frames.front().width, .height = frames.front().height};
  if (frames.size() == 1) return frames.front();
  std::vector<std::uint8_t>& png = all.bytes;
  const auto& first = frames.front().bytes;
  png.assign(first.begin(), first.begin() + signature);
  std::uint32_t number = 0;
  for (std::size_t k = 0; k < frames.size(); ++k) {
    bool begun = false;
    for_each_chunk(frames[k].bytes, [&](std::string_view type, std::span<const std::uint8_t> content) {
      if (type == "IDAT") {
        if (!begun) append_chunk(png, "fcTL", frame_control(number++, frames[k]));
        begun = true;
        if (k == 0) return append_chunk(png, "IDAT", content);
        std::vector<std::uint8_t> numbered;
        append(numbered, number++);
        numbered.insert(numbered.end(), content.begin(), content.end());
        append_chunk(png, "fdAT", numbered);
      } else if (k == 0 && type != "IEND") {
        append_chunk(png, type, content);
        if (type != "IHDR") return;
        std::vector<std::uint8_t> control;
        append(control, static_cast<std::uint32_t>(frames.size()));
        append(control, 0);  // for ever
        append_chunk(png, "acTL", control);
      }
    });
  }
  append_chunk(png, "IEND", {});
  return all;
}

/// Up to most_shown numbers below `count`, evenly spread.
std::vector<std::int64_t> some_of(std::int64_t count) {
  std::vector<std::int64_t> numbers;
  const std::int64_t shown = std::min(count, most_shown);
  for (std::int64_t k = 0; k < shown; ++k) numbers.push_back(k * count / shown);
  return numbers;
}

}  // namespace

Shown shown_clip(const data::Sample& sample, int view_channels, int most_side) {
  std::vector<Shown> frames;
  data::Sample frame = sample;
  if (sample.shape.rank() == 1) {
    const auto text = sample.values<std::uint8_t>();
    const auto reader = data::open_clip(std::string(text.begin(), text.end()));
    const data::ClipInfo& info = reader->info();
    std::vector<std::uint8_t> values(static_cast<std::size_t>(info.frame_bytes()));
    frame.shape = {info.height, info.width, info.channels};
    frame.dtype = info.dtype;
    for (const std::int64_t number : some_of(info.frames)) {
      reader->read(std::array{number}, values);
      frame.bytes = std::as_bytes(std::span(values));
      frames.push_back(shown_picture(picture_of(frame, view_channels), most_side));
    }
    return animated(frames);
  }
  frame.shape = {sample.shape[1], sample.shape[2], sample.shape[3]};
  const auto bytes = static_cast<std::size_t>(frame.shape.numel() * size_of(sample.dtype));
  for (const std::int64_t number : some_of(sample.shape[0])) {
    frame.bytes = sample.bytes.subspan(static_cast<std::size_t>(number) * bytes, bytes);
    frames.push_back(shown_picture(picture_of(frame, view_channels), most_side));
  }
  return animated(frames);
}

Shown shown_clip_view(const simclr::Tensor& view, const data::Augmentation& policy, int most_side) {
  std::vector<Shown> frames;
  for (const std::int64_t number : some_of(view.dim(0))) {
    const simclr::Tensor frame = view.narrow(number, 1).reshape({view.dim(1), view.dim(2), view.dim(3)});
    frames.push_back(shown_picture(picture_of_view(frame, policy), most_side));
  }
  return animated(frames);
}
