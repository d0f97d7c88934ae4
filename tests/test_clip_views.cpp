// Views of clips: one crop, flip and jitter for all frames, random times, several clips of a video.

#include <simclr/core/error.h>
#include <simclr/core/random.h>
#include <simclr/data/npy.h>
#include <simclr/data/pictures/picture_views.h>
#include <simclr/data/video/clip_views.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/temp_dir.h"

#include <cmath>
#include <fstream>
#include <set>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using Catch::Matchers::Contains;
using test::message_of;
using Floats = std::vector<float>;

namespace {

constexpr std::int64_t height = 20, width = 24;

/// Frames of noise, u8 RGB: each its own, or all the first.
std::vector<std::uint8_t> clip_of(std::int64_t frames, bool still) {
  std::vector<std::uint8_t> values;
  for (std::int64_t k = 0; k < frames; ++k) {
    const Random random(3, RandomPurpose::user, static_cast<std::uint32_t>(still ? 0 : k));
    for (std::uint32_t i = 0; i < height * width * 3; ++i) {
      values.push_back(static_cast<std::uint8_t>(random.bits(i) & 255u));
    }
  }
  return values;
}

Sample sample_of(const std::vector<std::uint8_t>& values) {
  const auto frames = std::ssize(values) / (height * width * 3);
  return {.bytes = std::as_bytes(std::span(values)), .shape = {frames, height, width, 3}, .owner = nullptr};
}

Floats view_of(const ViewMaker& maker, const Sample& sample, const ViewKey& key) {
  Floats out(static_cast<std::size_t>(maker.view_shape().numel()), 77.0f);
  CHECK(maker.make_view(sample, key, reinterpret_cast<std::byte*>(out.data())) == maker.view_shape()[0]);
  return out;
}

Augmentation strong() {
  Augmentation policy = Augmentation::simclr_cifar();
  policy.size = 12;
  policy.blur_probability = 0.5f;
  return policy;
}

constexpr std::size_t frame_values = 12 * 12 * 3;

Floats frame(const Floats& view, std::size_t k) {
  return {view.begin() + static_cast<std::ptrdiff_t>(k * frame_values),
          view.begin() + static_cast<std::ptrdiff_t>((k + 1) * frame_values)};
}

}  // namespace

TEST_CASE("all frames of a view have one crop, flip and jitter, those that a picture would have") {
  const auto still = clip_of(6, true), moving = clip_of(6, false);
  const ClipViews views(strong(), {.frames = 6});
  const PictureViews pictures(strong());
  CHECK(views.view_shape() == Shape{6, 12, 12, 3});
  std::set<Floats> different;
  for (std::uint32_t view = 0; view < 16; ++view) {
    const ViewKey key{.seed = 1, .sample = 4, .epoch = 2, .view = view};
    const Floats same = view_of(views, sample_of(still), key), own = view_of(views, sample_of(moving), key);
    for (std::size_t k = 0; k < 6; ++k) {
      CHECK(frame(same, k) == frame(same, 0));
      Sample picture{.bytes = std::as_bytes(std::span(moving)).subspan(k * height * width * 3, height * width * 3),
                     .shape = {height, width, 3},
                     .owner = nullptr};
      CHECK(frame(own, k) == view_of(pictures, picture, key));
    }
    different.insert(same);
  }
  CHECK(different.size() == 16);
}

TEST_CASE("a view begins at a random time, and takes every so many frames; where a clip ends its last frame stays") {
  std::vector<std::uint8_t> levels(20 * height * width * 3);
  for (std::size_t i = 0; i < levels.size(); ++i)
    levels[i] = static_cast<std::uint8_t>(10 * (i / (height * width * 3)));
  const Augmentation plain = strong().evaluation();
  const auto numbers = [&](const ClipTimes& times, const Sample& sample, std::uint32_t epoch) {
    const Floats view = view_of(ClipViews(plain, times), sample, {.seed = 1, .epoch = epoch});
    std::vector<long> found;
    for (std::size_t at = 0; at < view.size(); at += frame_values) found.push_back(std::lround(view[at] * 25.5f));
    return found;
  };
  std::set<long> starts;
  for (std::uint32_t epoch = 0; epoch < 200; ++epoch) {
    const auto found = numbers({.frames = 4, .stride = 3}, sample_of(levels), epoch);
    for (std::size_t k = 1; k < 4; ++k) CHECK(found[k] == found[0] + 3 * static_cast<long>(k));
    starts.insert(found[0]);
  }
  CHECK(starts == std::set<long>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10});

  Sample few = sample_of(levels);
  few.shape = {3, height, width, 3};
  few.bytes = few.bytes.first(3 * height * width * 3);
  CHECK(numbers({.frames = 5, .stride = 2}, few, 0) == std::vector<long>{0, 2, 2, 2, 2});

  // What evaluation sees: the middle, or clips from the first to the last.
  CHECK(numbers({.frames = 4, .stride = 1, .spread = 1}, sample_of(levels), 0) == std::vector<long>{8, 9, 10, 11});
  CHECK(numbers({.frames = 2, .stride = 1, .spread = 3}, sample_of(levels), 0) ==
        std::vector<long>{0, 1, 9, 10, 18, 19});
  CHECK(ClipViews(plain, {.frames = 2, .spread = 3}).view_shape() == Shape{3, 2, 12, 12, 3});
}

TEST_CASE("differences are what changes up to the next frame, about grey") {
  Augmentation policy = strong();
  policy.mean[0] = 0.4f;
  policy.stddev[0] = 0.2f;
  const auto moving = clip_of(9, false), still = clip_of(9, true);
  const ViewKey key{.seed = 1, .sample = 4, .view = 1};
  const ClipTimes times{.frames = 4, .stride = 2, .differences = true};
  const auto grey = [](std::size_t i) { return i % 3 == 0 ? (0.5f - 0.4f) / 0.2f : 0.5f; };
  const Floats view = view_of(ClipViews(policy, times), sample_of(moving), key);  // spans the clip
  const Floats whole = view_of(ClipViews(policy, {.frames = 5, .stride = 2}), sample_of(moving), key);
  REQUIRE(view.size() == 4 * frame_values);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < view.size(); ++i) {
    const float expected = grey(i) + 0.5f * (whole[i + frame_values] - whole[i]);
    wrong += std::abs(view[i] - expected) > 1e-5f ? 1 : 0;
  }
  CHECK(wrong == 0);
  const Floats none = view_of(ClipViews(policy, times), sample_of(still), key);
  for (std::size_t i = 0; i < none.size(); i += 7) CHECK(none[i] == Approx(grey(i)));

  // Several in one view, and the last frame of a clip that ends stays: nothing changes.
  const ClipViews spread(policy.evaluation(), {.frames = 4, .stride = 2, .spread = 2, .differences = true});
  const Floats two = view_of(spread, sample_of(moving), key);
  CHECK(Floats(two.begin(), two.begin() + 4 * frame_values) == Floats(two.begin() + 4 * frame_values, two.end()));
  const Floats late = view_of(ClipViews(policy, {.frames = 9, .differences = true}), sample_of(moving), key);
  CHECK(late.back() == Approx(0.5));
  CHECK(late[7 * frame_values + 4] != late[8 * frame_values + 4]);
}

TEST_CASE("a clip's path makes the views that its frames make") {
  const test::TempDir folder;
  const auto values = clip_of(9, false);
  std::ofstream(folder.path("a.npy"), std::ios::binary)
      << npy_header("|u1", {9, height, width, 3})
      << std::string(reinterpret_cast<const char*>(values.data()), values.size());
  const std::string path = folder.path("a.npy");
  const Sample sample{.bytes = std::as_bytes(std::span(path)), .shape = {std::ssize(path)}, .owner = nullptr};
  const ClipViews random(strong(), {.frames = 3, .stride = 2}),
      spread(strong().evaluation(), {.frames = 3, .spread = 2});
  for (std::uint32_t view = 0; view < 8; ++view) {
    const ViewKey key{.seed = 1, .sample = 4, .view = view};
    CHECK(view_of(random, sample, key) == view_of(random, sample_of(values), key));
  }
  CHECK(view_of(spread, sample, {}) == view_of(spread, sample_of(values), {}));
}

TEST_CASE("what is no clip is refused") {
  const ClipViews views(strong(), {.frames = 2});
  const auto values = clip_of(1, true);
  Sample sample = sample_of(values);
  Floats out(static_cast<std::size_t>(views.view_shape().numel()));
  const auto message = [&] {
    return message_of([&] { views.make_view(sample, {.sample = 5}, reinterpret_cast<std::byte*>(out.data())); });
  };
  CHECK(message() == "no error");
  sample.shape = {height, width, 3};
  CHECK_THAT(message(), Contains("sample 5 has shape [20,24,3], a clip is [frames,height,width,channels]"));
  sample.shape = {2, height, width, 3};
  CHECK_THAT(message(), Contains("sample 5 has 1440 bytes, its shape"));
  sample.shape = {3, height, width / 2, 2};
  CHECK_THAT(message(), Contains("sample 5 has shape [20,12,2], a frame is [height,width,channels] with"));
  CHECK_THAT(message_of([] { ClipViews(strong(), {.frames = 0}); }), Contains("clip views: 0 frames"));
}
