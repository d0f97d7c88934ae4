#pragma once

#include <simclr/data/dataset.h>

#include <cstdint>
#include <memory>

namespace simclr::data {

struct MovingOptions {
  std::int64_t clips = 20'000;
  std::int32_t frames = 32;
  std::int32_t side = 32;                // of a frame, in pixels
  std::int32_t lasts = 8;                // frames that each picture stays for before another takes its place
  float slowest = 1.5f, fastest = 3.0f;  // pixels a frame
  std::uint64_t seed = 0;
};

/// Clips of pictures that move, made when they are asked for: u8 [frames,side,side,1], white on black. The class is
/// the motion, one of eight directions, "right", "up right", ... anticlockwise: each clip's angle lies within 11
/// degrees of its class's, and its speed is its own. `pictures` are u8 [height,width,1], halved in size. The frame is a
/// torus on which a picture begins anywhere, so that a single frame says nothing of the motion: its place is uniform,
/// whatever the class. Every `lasts` frames another picture goes on with the motion, so that two parts of a clip have
/// the motion in common and not what moves. A clip is a function of the seed and its number. Throws Error for sizes
/// that are not positive, and for pictures of another shape or wider than twice a frame.
SIMCLR_API std::shared_ptr<const Dataset> moving_pictures(std::shared_ptr<const Dataset> pictures,
                                                          const MovingOptions& options);

}  // namespace simclr::data
