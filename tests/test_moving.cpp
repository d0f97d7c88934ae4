// Moving pictures: that the class is the motion, that it can be told of a clip, and that a single frame tells nothing.

#include <simclr/core/error.h>
#include <simclr/core/random.h>
#include <simclr/data/video/moving.h>

#include "support/catch.h"
#include "support/message_of.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <set>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using Catch::Matchers::Contains;

namespace {

/// Pictures of noise with a bright spot, 28 x 28, so that a place can be found again.
std::shared_ptr<const Dataset> pictures() {
  constexpr std::int64_t count = 40, side = 28;
  MemoryData data{.samples = {}, .labels = {}, .classes = {"any"}, .description = "pictures"};
  std::vector<std::uint8_t> values;
  for (std::uint32_t i = 0; i < count; ++i) {
    const Random random(1, RandomPurpose::user, i);
    for (std::uint32_t p = 0; p < side * side; ++p) {
      values.push_back(static_cast<std::uint8_t>(60 + random.below(180, p)));
    }
    data.labels.push_back(0);
  }
  data.samples = Tensor::from(values, {count, side, side, 1});
  return memory_dataset(std::move(data));
}

constexpr int side = 32;

std::vector<float> frame_of(const Sample& clip, std::int64_t t) {
  const auto values = clip.values<std::uint8_t>().subspan(static_cast<std::size_t>(t * side * side), side * side);
  return {values.begin(), values.end()};
}

/// The shift on the torus, up to 4 pixels each way, that fits two frames best.
std::array<int, 2> shift_between(const std::vector<float>& a, const std::vector<float>& b) {
  std::array<int, 2> best{};
  float least = 1e30f;
  for (int down = -4; down <= 4; ++down) {
    for (int right = -4; right <= 4; ++right) {
      float sum = 0;
      for (int y = 0; y < side; ++y) {
        for (int x = 0; x < side; ++x) {
          const float d = a[static_cast<std::size_t>(side * y + x)] -
                          b[static_cast<std::size_t>((y + down + side) % side * side + (x + right + side) % side)];
          sum += d * d;
        }
      }
      if (sum < least) best = {down, right};
      least = std::min(least, sum);
    }
  }
  return best;
}

/// The class whose direction fits the shifts between some frames, each pair of one picture.
int motion_of(const Sample& clip, std::int64_t begin, std::int64_t end) {
  int down = 0, right = 0;
  for (std::int64_t t = begin; t + 1 < end; ++t) {
    if ((t + 1) % 8 == 0) continue;  // another picture comes
    const auto shift = shift_between(frame_of(clip, t), frame_of(clip, t + 1));
    down += shift[0];
    right += shift[1];
  }
  const double turn = std::atan2(-down, right) / (2 * std::numbers::pi);
  return static_cast<int>(std::lround(8 * turn) + 8) % 8;
}

}  // namespace

TEST_CASE("a clip's class is its motion, which each part of it tells") {
  const auto clips = moving_pictures(pictures(), {.clips = 64, .seed = 7});
  CHECK(clips->size() == 64);
  CHECK(clips->classes().size() == 8);
  CHECK(clips->classes()[2] == "up");
  int right = 0;
  std::set<std::int32_t> seen;  // of eight clips
  for (std::int64_t i = 0; i < 64; ++i) {
    const Sample clip = clips->sample(i);
    REQUIRE(clip.shape == Shape{32, side, side, 1});
    CHECK(clip.label == clips->label(i));
    right += motion_of(clip, 0, 8) == clip.label ? 1 : 0;
    right += motion_of(clip, 20, 32) == clip.label ? 1 : 0;
    if (i % 8 == 0) seen.clear();
    seen.insert(clip.label);
    if (i % 8 == 7) CHECK(seen.size() == 8);
  }
  CHECK(right >= 124);  // of 128: whole pixels at the slowest speed may hide a direction

  // Evenly spread clips have all motions, too: a part of a set is one.
  for (const std::int64_t step : {8, 20, 24}) {
    std::set<std::int32_t> some;
    const auto many = moving_pictures(pictures(), {.seed = 7});
    for (std::int64_t k = 0; k < 100; ++k) some.insert(many->label(k * step));
    CHECK(some.size() == 8);
  }
}

TEST_CASE("a single frame tells nothing of the motion") {
  // The nearest of 800 frames, by all pixels, has the class of one in eight; were the place told, all would be right.
  const auto known = moving_pictures(pictures(), {.clips = 800, .frames = 5, .seed = 1});
  const auto asked = moving_pictures(pictures(), {.clips = 400, .frames = 5, .seed = 2});
  std::vector<std::vector<float>> frames;
  for (std::int64_t i = 0; i < 800; ++i) frames.push_back(frame_of(known->sample(i), 4));
  int right = 0;
  std::array<std::array<double, side>, 8> rows{};  // how bright each row is, of each class
  for (std::int64_t i = 0; i < 400; ++i) {
    const std::vector<float> frame = frame_of(asked->sample(i), 4);
    float least = 1e30f;
    std::int64_t nearest = 0;
    for (std::int64_t k = 0; k < 800; ++k) {
      float sum = 0;
      for (std::size_t p = 0; p < frame.size(); ++p) {
        const float d = frame[p] - frames[static_cast<std::size_t>(k)][p];
        sum += d * d;
      }
      if (sum < least) nearest = k;
      least = std::min(least, sum);
    }
    right += known->label(nearest) == asked->label(i) ? 1 : 0;
  }
  CHECK(right > 400 / 8 - 33);  // five deviations of a guess, 6.6 each
  CHECK(right < 400 / 8 + 33);

  // And the place is uniform, whatever the class: the mean frame of each class is flat.
  for (std::int64_t i = 0; i < 800; ++i) {
    for (int y = 0; y < side; ++y) {
      for (int x = 0; x < side; ++x) {
        rows[static_cast<std::size_t>(known->label(i))][static_cast<std::size_t>(y)] +=
            double{frames[static_cast<std::size_t>(i)][static_cast<std::size_t>(side * y + x)]} / 100 / side;
      }
    }
  }
  for (const auto& of_class : rows) {
    const auto [low, high] = std::minmax_element(of_class.begin(), of_class.end());
    CHECK(*high < 3 * *low);  // of 100 clips, whose pictures cover 14 of 32 rows
  }
}

TEST_CASE("a clip is a function of the seed and its number, and impossible ones are refused") {
  const auto values = [](std::uint64_t seed, std::int64_t i) {
    const auto clips = moving_pictures(pictures(), {.clips = 8, .seed = seed});
    const Sample clip = clips->sample(i);
    const auto bytes = clip.values<std::uint8_t>();
    return std::vector<std::uint8_t>(bytes.begin(), bytes.end());
  };
  CHECK(values(1, 3) == values(1, 3));
  CHECK(values(1, 3) != values(2, 3));
  CHECK(values(1, 3) != values(1, 4));
  CHECK_THAT(test::message_of([] { moving_pictures(pictures(), {.side = 10}); }), Contains("in frames of side 10"));
  CHECK_THAT(test::message_of([] { moving_pictures(pictures(), {.clips = 0}); }), Contains("all must be positive"));
  CHECK_THAT(test::message_of([] { moving_pictures(pictures(), {})->sample(20'000); }),
             Contains("clip 20000 of 20000"));
}
