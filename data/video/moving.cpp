#include <simclr/core/error.h>
#include <simclr/core/random.h>
#include <simclr/core/text.h>
#include <simclr/data/video/moving.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace simclr::data {
namespace {

constexpr int motions = 8;

/// A picture of half the size: each pixel the mean of four.
struct Half {
  std::int64_t height = 0, width = 0;
  std::vector<std::uint8_t> pixels = {};
};

Half halved(const Sample& picture) {
  const std::int64_t width = picture.shape[1];
  const auto values = picture.values<std::uint8_t>();
  Half half{.height = picture.shape[0] / 2, .width = width / 2};
  for (std::int64_t y = 0; y < half.height; ++y) {
    for (std::int64_t x = 0; x < half.width; ++x) {
      const auto at = [&](std::int64_t v, std::int64_t u) {
        return int{values[static_cast<std::size_t>((2 * y + v) * width + 2 * x + u)]};
      };
      half.pixels.push_back(static_cast<std::uint8_t>((at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1) + 2) / 4));
    }
  }
  return half;
}

class Moving final : public Dataset {
 public:
  Moving(std::shared_ptr<const Dataset> pictures, const MovingOptions& options)
      : pictures_(std::move(pictures)), options_(options) {
    const MovingOptions& o = options_;
    SIMCLR_CHECK(o.clips >= 1 && o.frames >= 1 && o.side >= 1 && o.lasts >= 1 && pictures_->size() >= 1,
                 "moving_pictures: ", o.clips, " clips of ", o.frames, " frames of side ", o.side,
                 ", pictures that last ", o.lasts, " frames; all must be positive");
    SIMCLR_CHECK(o.slowest >= 0 && o.fastest >= o.slowest && o.fastest <= static_cast<float>(o.side),
                 "moving_pictures: from ", o.slowest, " to ", o.fastest, " pixels a frame");
    const Shape shape = pictures_->sample(0).shape;
    SIMCLR_CHECK(shape.rank() == 3 && shape[2] == 1 && std::min(shape[0], shape[1]) >= 2 &&
                     std::max(shape[0], shape[1]) <= 2 * o.side,
                 "moving_pictures: pictures of shape ", shape, " in frames of side ", o.side);
  }

  std::int64_t size() const override { return options_.clips; }

  Sample sample(std::int64_t i, int) const override {
    const MovingOptions& o = options_;
    const std::int32_t motion = label(i);
    const Random random(o.seed, RandomPurpose::user, static_cast<std::uint32_t>(i));
    const double turn = (motion + 0.5 * random.uniform(0) - 0.25) / motions;  // of a circle: half of a sector
    const double speed = double{o.slowest} + double{o.fastest - o.slowest} * double{random.uniform(1)};
    const double right = speed * std::cos(2 * std::numbers::pi * turn);
    const double down = -speed * std::sin(2 * std::numbers::pi * turn);
    const double left = double{random.uniform(2)} * o.side, top = double{random.uniform(3)} * o.side;
    const auto pixels =
        std::make_shared<std::vector<std::uint8_t>>(static_cast<std::size_t>(std::int64_t{o.frames} * o.side * o.side));
    Half picture;
    for (std::int32_t t = 0; t < o.frames; ++t) {
      if (t % o.lasts == 0) picture = picture_of(random, static_cast<std::uint32_t>(t / o.lasts));
      draw(picture, wrapped(top + down * t), wrapped(left + right * t),
           std::span(*pixels).subspan(static_cast<std::size_t>(std::int64_t{t} * o.side * o.side)));
    }
    return {.bytes = std::as_bytes(std::span(*pixels)),
            .shape = {o.frames, o.side, o.side, 1},
            .label = motion,
            .owner = pixels};
  }

  std::int32_t label(std::int64_t i) const override {
    SIMCLR_CHECK(i >= 0 && i < size(), "moving_pictures: clip ", i, " of ", size());
    // Each eight have all motions, in a turn that is drawn: evenly spread samples of a set do not miss any.
    const Random random(options_.seed, RandomPurpose::user, static_cast<std::uint32_t>(i / motions), 1);
    return static_cast<std::int32_t>((i + random.below(motions, 0)) % motions);
  }

  const std::vector<std::string>& classes() const override {
    static const std::vector<std::string> names = {"right", "up right",  "up",   "up left",
                                                   "left",  "down left", "down", "down right"};
    return names;
  }

  std::string describe() const override {
    return counted(size(), "clip") + " of " + std::to_string(motions) + " motions, made of " + pictures_->describe();
  }

 private:
  Half picture_of(const Random& random, std::uint32_t number) const {
    return halved(pictures_->sample(random.below(static_cast<std::uint32_t>(pictures_->size()), 4 + number)));
  }

  std::int64_t wrapped(double place) const {
    const auto side = static_cast<double>(options_.side);
    return std::llround(place - side * std::floor(place / side)) % options_.side;
  }

  void draw(const Half& picture, std::int64_t top, std::int64_t left, std::span<std::uint8_t> frame) const {
    const std::int64_t side = options_.side;
    for (std::int64_t y = 0; y < picture.height; ++y) {
      for (std::int64_t x = 0; x < picture.width; ++x) {
        frame[static_cast<std::size_t>((top + y) % side * side + (left + x) % side)] =
            picture.pixels[static_cast<std::size_t>(y * picture.width + x)];
      }
    }
  }

  std::shared_ptr<const Dataset> pictures_;
  MovingOptions options_;
};

}  // namespace

std::shared_ptr<const Dataset> moving_pictures(std::shared_ptr<const Dataset> pictures, const MovingOptions& options) {
  return std::make_shared<Moving>(std::move(pictures), options);
}

}  // namespace simclr::data
