#pragma once

// Frames of a clip, by their numbers.

#include <simclr/data/video/clip_io.h>

#include <cstdint>
#include <numeric>
#include <vector>

namespace simclr::test {

using Bytes = std::vector<std::uint8_t>;
using Numbers = std::vector<std::int64_t>;

inline Bytes read(data::ClipReader& clip, const Numbers& frames) {
  Bytes values(frames.size() * static_cast<std::size_t>(clip.info().frame_bytes()), 0xaa);
  clip.read(frames, values);
  return values;
}

inline Numbers up_to(std::int64_t count) {
  Numbers all(static_cast<std::size_t>(count));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

}  // namespace simclr::test
