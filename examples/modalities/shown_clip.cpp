#include "modalities/shown_clip.h"

#include "modalities/shown_picture.h"

#include <simclr/data/pictures/image_io.h>
#include <simclr/data/video/clip_io.h>

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <vector>

namespace data = simclr::data;

namespace {

constexpr std::int64_t most_shown = 16;  // frames

/// Those of one clip, as an animated one.
Shown animated(const std::vector<Shown>& frames) {
  constexpr int frames_a_second = 8;
  const Shown& first = frames.front();
  std::vector<std::vector<std::uint8_t>> files;
  for (const Shown& frame : frames) files.push_back(frame.bytes);
  return {first.type, data::animated_png(files, frames_a_second), first.width, first.height};
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
