// Views of recordings as spectrograms: values against the op and plain statistics, keys, lengths, edges.

#include <simclr/core/error.h>
#include <simclr/core/parallel.h>
#include <simclr/data/sound/spectrogram_views.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/sounds.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <thread>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using namespace simclr::test;
using Catch::Matchers::Contains;
using Floats = std::vector<float>;

namespace {

constexpr std::int32_t mels = 24;

Sample sample_of(const Floats& values) {
  return {.bytes = std::as_bytes(std::span(values)),
          .shape = {std::ssize(values)},
          .dtype = DType::f32,
          .owner = nullptr,
          .finite = true};
}

SpectrogramViewOptions plain(double seconds = 0.4) {
  return {.sound = SoundPolicy{.rate = 8000, .seconds = seconds}.evaluation(),
          .logmel = usual_logmel(8000, mels),
          .spectrogram = SpectrogramPolicy::evaluation()};
}

SpectrogramViewOptions random_views() {
  SpectrogramViewOptions options = plain();
  options.sound = {.rate = 8000, .seconds = 0.4};
  options.spectrogram = {};
  return options;
}

/// A view, as long as it is; what lies behind is untouched.
Floats view_of(const SpectrogramViews& views, const Floats& values, const ViewKey& key = {}) {
  const auto room = static_cast<std::size_t>(views.view_shape().numel());
  Floats out(room + 1, 77.0f);
  const std::int64_t length = views.make_view(sample_of(values), key, reinterpret_cast<std::byte*>(out.data()));
  REQUIRE((length >= 1 && length <= views.view_shape()[0]));
  const auto filled = static_cast<std::size_t>(length * mels);
  for (std::size_t i = filled; i < out.size(); ++i) CHECK(out[i] == 77.0f);
  out.resize(filled);
  return out;
}

/// Two tones, the second one later and louder.
Floats recording(std::int64_t count) {
  Floats out = tone(count, 300, 8000, 0.1);
  const Floats second = tone(count, 1700, 8000, 0.4);
  for (std::size_t i = out.size() / 2; i < out.size(); ++i) out[i] += second[i];
  return out;
}

std::pair<double, double> mean_and_deviation(const Floats& values) {
  double sum = 0, squares = 0;
  for (const float value : values) sum += value;
  const double mean = sum / static_cast<double>(values.size());
  for (const float value : values) squares += (value - mean) * (value - mean);
  return {mean, std::sqrt(squares / static_cast<double>(values.size()))};
}

}  // namespace

TEST_CASE("A view without randomness is the log-mel of the recording's middle, of mean 0 and deviation 1") {
  const SpectrogramViews views(plain());
  CHECK(views.view_shape() == Shape{41, mels, 1});
  const Floats sound = recording(8000);
  const Floats view = view_of(views, sound);
  REQUIRE(view.size() == 41 * mels);
  const auto [mean, deviation] = mean_and_deviation(view);
  CHECK(std::abs(mean) < 1e-5);
  CHECK(std::abs(deviation - 1) < 1e-4);

  const Floats middle(sound.begin() + 2400, sound.begin() + 5600);
  const kernels::LogmelPlan plan = kernels::logmel_plan(usual_logmel(8000, mels));
  const Floats expected = kernels::logmel(Tensor::from(middle, {1, 3200}), {}, plan).y.to_vector<float>();
  const auto [log_mean, log_deviation] = mean_and_deviation(expected);
  for (std::size_t i = 0; i < view.size(); ++i) {
    REQUIRE(view[i] == Approx((expected[i] - log_mean) / log_deviation).margin(1e-4));
  }
}

TEST_CASE("Loudness does not reach a view, and silence is no number but 0") {
  const SpectrogramViews views(plain());
  Floats quiet = recording(3200);
  const Floats view = view_of(views, quiet);
  for (float& value : quiet) value *= 0.9f;
  const Floats softer = view_of(views, quiet);
  double apart = 0;
  for (std::size_t i = 0; i < view.size(); ++i) apart = std::max(apart, std::abs(double{view[i]} - softer[i]));
  CHECK(apart < 0.1);  // but for what the floor hides
  for (const float value : view_of(views, Floats(3200, 0.0f))) REQUIRE(value == 0.0f);
}

TEST_CASE("A view of a sequence has its own length") {
  SpectrogramViewOptions options = plain();
  options.channel = false;
  options.sound.keep_short = true;
  const SpectrogramViews views(options);
  CHECK(views.view_shape() == Shape{41, mels});
  CHECK(view_of(views, recording(1600)).size() == 21 * mels);
  CHECK(view_of(views, recording(1)).size() == mels);
  CHECK(view_of(views, recording(4000)).size() == 41 * mels);
}

TEST_CASE("Random views follow from their keys alone, in any thread") {
  const SpectrogramViews views(random_views());
  const Floats sound = recording(6000);
  const ViewKey key{.seed = 3, .sample = 5, .epoch = 7, .view = 1};
  const Floats view = view_of(views, sound, key);
  CHECK(view_of(views, sound, key) == view);
  Floats elsewhere;
  std::thread worker([&] {
    const SerialScope serial;
    elsewhere = Floats(static_cast<std::size_t>(views.view_shape().numel()));
    views.make_view(sample_of(sound), key, reinterpret_cast<std::byte*>(elsewhere.data()));
  });
  worker.join();
  CHECK(elsewhere == view);
  for (const ViewKey other : {ViewKey{4, 5, 7, 1}, ViewKey{3, 6, 7, 1}, ViewKey{3, 5, 8, 1}, ViewKey{3, 5, 7, 0}}) {
    CHECK(view_of(views, sound, other) != view);
  }
}

TEST_CASE("Masks and warps are drawn by the view's key and change the spectrogram alone") {
  SpectrogramViewOptions options = plain();
  const Floats sound = recording(3200), view = view_of(SpectrogramViews(options), sound);
  options.spectrogram = {.warp_probability = 0.0f, .time_masks = 1, .mel_masks = 0, .time_share = 0.5f};
  const SpectrogramViews masked(options);
  int hidden = 0;
  for (std::uint32_t i = 0; i < 20; ++i) {
    const ViewKey key{.seed = 1, .sample = i};
    const Floats other = view_of(masked, sound, key);
    const SpectrogramMask mask = draw_spectrogram_parameters(options.spectrogram, 41, mels, key).time[0];
    for (std::int32_t t = 0; t < 41; ++t) {
      const bool in = t >= mask.begin && t < mask.begin + mask.count;
      for (std::int32_t m = 0; m < mels; ++m) {
        const auto at = static_cast<std::size_t>(t * mels + m);
        if (in) {
          REQUIRE(std::abs(other[at]) < 1e-4f);  // the mean
        } else {
          REQUIRE(other[at] == view[at]);
        }
      }
    }
    hidden += mask.count;
  }
  CHECK(hidden > 20);
}

TEST_CASE("Usual log-mels are possible at any rate") {
  for (const std::int32_t rate : {1000, 4000, 8000, 11025, 16000, 22050, 44100, 48000, 192000}) {
    for (const std::int32_t count : {8, 40, 64, 128, 256}) {
      const kernels::LogmelOptions options = usual_logmel(rate, count);
      INFO(rate << " Hz, " << count << " mels, fft " << options.fft);
      CHECK(message_of([&] { kernels::logmel_plan(options); }) == "no error");
      CHECK(options.fft < 4 * std::max<std::int64_t>(options.window, 20 * count));
    }
  }
  CHECK(usual_logmel(16000, 64).window == 400);
  CHECK(usual_logmel(16000, 64).fft == 512);
  CHECK(usual_logmel(16000, 64).hop == 160);
  CHECK(usual_logmel(16000, 64).highest == Approx(7800));
  CHECK_THAT(message_of([] { usual_logmel(999, 64); }), Contains("a rate of 999 Hz"));
  CHECK_THAT(message_of([] { usual_logmel(8000, 257); }), Contains("257 mels"));
}

TEST_CASE("What cannot be a view is refused in one line") {
  SpectrogramViewOptions options = plain();
  options.sound.rate = 16000;
  CHECK_THAT(message_of([&] { SpectrogramViews views(options); }),
             Contains("log-mels of 8000 Hz, and recordings of 16000"));
  options = plain();
  options.spectrogram.time_masks = 9;
  CHECK_THAT(message_of([&] { SpectrogramViews views(options); }), Contains("time_masks is 9"));
  const SpectrogramViews views(plain());
  Floats bad = recording(3200);
  bad[100] = std::numeric_limits<float>::quiet_NaN();
  Sample sample = sample_of(bad);
  sample.finite = false;
  Floats out(static_cast<std::size_t>(views.view_shape().numel()));
  CHECK_THAT(message_of([&] { views.make_view(sample, {}, reinterpret_cast<std::byte*>(out.data())); }),
             Contains("sample 100 is nan"));
}
