// Views of recordings and of spectrograms: values against plain loops, keys, statistics, edges.

#include <simclr/core/error.h>
#include <simclr/data/sound/sound_views.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/sounds.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using namespace simclr::test;
using Catch::Matchers::Contains;
using Floats = std::vector<float>;

namespace {

Sample sample_of(const Floats& values) {
  return {.bytes = std::as_bytes(std::span(values)),
          .shape = {std::ssize(values)},
          .dtype = DType::f32,
          .owner = nullptr,
          .finite = true};
}

/// A view, as long as it is; what lies behind is untouched.
Floats view_of(const SoundViews& views, const Floats& values, const ViewKey& key) {
  Floats out(static_cast<std::size_t>(views.view_shape()[0]) + 1, 77.0f);
  const auto length =
      static_cast<std::size_t>(views.make_view(sample_of(values), key, reinterpret_cast<std::byte*>(out.data())));
  CHECK((length >= 1 && length < out.size()));
  for (std::size_t i = length; i < out.size(); ++i) CHECK(out[i] == 77.0f);
  out.resize(length);
  return out;
}

/// Without any step but the segment.
SoundPolicy plain(double seconds = 0.1) {
  SoundPolicy policy = SoundPolicy{.rate = 8000, .seconds = seconds}.evaluation();
  policy.random_segment = true;
  return policy;
}

Floats ramp(std::int64_t count) {
  Floats out(static_cast<std::size_t>(count));
  std::iota(out.begin(), out.end(), 1.0f);
  return out;
}

ViewKey key_of(std::uint32_t i) {
  return {.seed = 5, .sample = i / 64, .epoch = i / 8 % 8, .view = i % 8};
}

double power(const Floats& values) {
  double sum = 0.0;
  for (const float value : values) sum += double{value} * value;
  return sum / static_cast<double>(values.size());
}

}  // namespace

TEST_CASE("A random segment is a part of the recording, and each is as likely") {
  const SoundViews views(plain());
  CHECK(views.view_shape() == Shape{800});
  const Floats recording = ramp(809);
  std::vector<int> begins(10);
  for (std::uint32_t i = 0; i < 5000; ++i) {
    const Floats view = view_of(views, recording, key_of(i));
    REQUIRE(view.size() == 800);
    const auto begin = static_cast<std::size_t>(view[0]) - 1;
    REQUIRE(begin < 10);
    ++begins[begin];
    CHECK(std::equal(view.begin(), view.end(), recording.begin() + static_cast<std::ptrdiff_t>(begin)));
  }
  for (const int count : begins) CHECK(std::abs(count - 500) < 5 * std::sqrt(450.0));
  CHECK(view_of(views, ramp(800), key_of(1)) == ramp(800));
}

TEST_CASE("A shorter recording lies in silence, at any place, and is not repeated") {
  const SoundViews views(plain());
  std::set<std::size_t> places;
  for (std::uint32_t i = 0; i < 300; ++i) {
    const Floats view = view_of(views, ramp(796), key_of(i));
    REQUIRE(view.size() == 800);
    const std::size_t place = static_cast<std::size_t>(std::find(view.begin(), view.end(), 1.0f) - view.begin());
    REQUIRE(place <= 4);
    places.insert(place);
    for (std::size_t t = 0; t < 800; ++t) {
      CHECK(view[t] == (t < place || t >= place + 796 ? 0.0f : static_cast<float>(t - place + 1)));
    }
  }
  CHECK(places.size() == 5);
  CHECK(view_of(views, {1.0f}, key_of(0)).size() == 800);
  SoundPolicy kept = plain();
  kept.keep_short = true;
  CHECK(view_of(SoundViews(kept), ramp(300), key_of(0)) == ramp(300));
  CHECK(view_of(SoundViews(kept), ramp(900), key_of(0)).size() == 800);
}

TEST_CASE("Evaluation sees the centre, or segments at equal distances") {
  const SoundPolicy policy{.rate = 8000, .seconds = 0.1, .speed_probability = 1.0f, .noise_probability = 1.0f};
  const SoundViews centre(policy.evaluation());
  const Floats recording = ramp(1001);
  for (std::uint32_t i = 0; i < 9; ++i) CHECK(view_of(centre, recording, key_of(i))[0] == 101.0f);
  const SoundViews three(policy.evaluation(3));
  const float begins[] = {1, 101, 202, 1};
  for (std::uint32_t v = 0; v < 4; ++v) {
    const Floats view = view_of(three, recording, {.seed = v, .sample = v, .epoch = v, .view = v});
    CHECK((view.front() == begins[v] && view.back() == begins[v] + 799));
  }
  const Floats shorter = view_of(three, ramp(797), {.view = 2});
  CHECK((shorter[0] == 0.0f && shorter[1] == 1.0f && shorter[797] == 797.0f && shorter[799] == 0.0f));
}

TEST_CASE("A shift moves the segment over the recording's ends, by no more than it may") {
  SoundPolicy policy = plain();
  policy.shift_probability = 1.0f;
  policy.shift_share = 0.1f;  // 80 samples
  const SoundViews views(policy);
  const Floats recording = ramp(800);
  std::int64_t least = 0, most = 0, still = 0;
  for (std::uint32_t i = 0; i < 2000; ++i) {
    const Floats view = view_of(views, recording, key_of(i));
    const auto first = std::find_if(view.begin(), view.end(), [](float v) { return v != 0.0f; });
    const std::int64_t shift = static_cast<std::int64_t>(*first) - 1 - (first - view.begin());
    for (std::int64_t t = 0; t < 800; ++t) {
      const std::int64_t at = t + shift;
      CHECK(view[static_cast<std::size_t>(t)] == (at < 0 || at >= 800 ? 0.0f : static_cast<float>(at + 1)));
    }
    least = std::min(least, shift);
    most = std::max(most, shift);
    still += shift == 0 ? 1 : 0;
  }
  CHECK((least >= -80 && least <= -78 && most <= 80 && most >= 78 && still < 40));
  for (std::uint32_t i = 0; i < 100; ++i)
    CHECK(power(view_of(views, ramp(700), key_of(i))) == Approx(power(ramp(700)) * 700 / 800));
}

TEST_CASE("Gain is uniform in decibels") {
  SoundPolicy policy = plain();
  policy.gain_probability = 0.5f;
  policy.gain_db = 6.0f;
  const SoundViews views(policy);
  const Floats recording(800, 0.25f);
  int changed = 0, loud = 0;
  double sum = 0.0, least = 0.0, most = 0.0;
  for (std::uint32_t i = 0; i < 4000; ++i) {
    const Floats view = view_of(views, recording, key_of(i));
    CHECK(std::all_of(view.begin(), view.end(), [&](float v) { return v == view[0]; }));
    const double db = 20.0 * std::log10(view[0] / 0.25);
    changed += db != 0.0 ? 1 : 0;
    loud += db > 3.0 ? 1 : 0;
    sum += db;
    least = std::min(least, db);
    most = std::max(most, db);
  }
  CHECK(std::abs(changed - 2000) < 5 * std::sqrt(1000.0));
  CHECK(std::abs(loud - 500) < 5 * std::sqrt(440.0));
  CHECK(std::abs(sum / 4000) < 0.2);
  CHECK((least > -6.001 && least < -5.9 && most < 6.001 && most > 5.9));
}

TEST_CASE("Speed plays the recording faster or slower") {
  SoundPolicy policy = plain();
  policy.speed_probability = 1.0f;
  for (const float speed : {0.8f, 0.95f, 1.1f, 1.25f}) {
    policy.speed_min = policy.speed_max = speed;
    const SoundViews views(policy);
    const double hertz = 1500;
    const Floats recording = tone(4000, hertz, 8000);
    for (std::uint32_t i = 0; i < 20; ++i) {
      const SoundParameters drawn = draw_sound_parameters(policy, 4000, {}, key_of(i));
      CHECK(drawn.speed == Approx(speed));
      CHECK((drawn.begin >= 0 && static_cast<double>(drawn.begin) + 800 * drawn.speed <= 4001));
      const Floats view = view_of(views, recording, key_of(i));
      double error = 0.0;
      for (std::size_t t = 20; t < 780; ++t) {
        const double place = static_cast<double>(drawn.begin) + static_cast<double>(t) * drawn.speed;
        const double wanted = 0.5 * std::sin(2 * std::numbers::pi * hertz * place / 8000);
        if (place > 30 && place < 3970) error = std::max(error, std::abs(view[t] - wanted));
      }
      CHECK(error < 1e-3);
    }
  }
  // What is faster than the rate can hold is filtered out: 3,600 Hz at twice the speed would be 7,200.
  policy.speed_min = policy.speed_max = 2.0f;
  const Floats high = view_of(SoundViews(policy), tone(4000, 3600, 8000), key_of(1));
  CHECK(power(Floats(high.begin() + 50, high.end() - 50)) < 1e-6);
}

TEST_CASE("Noise has the ratio that was drawn, from any place of any noise") {
  SoundPolicy policy = plain();
  policy.noise_probability = 1.0f;
  policy.snr_db_min = 0.0f;
  policy.snr_db_max = 20.0f;
  const auto noises = std::make_shared<const Noises>(Noises{tone(3000, 700, 8000, 0.1), Floats{3.0f, -1.0f, 2.0f}});
  const SoundViews views(policy, noises);
  std::set<std::uint32_t> sounds;
  std::set<std::int64_t> begins;
  for (const std::int64_t count : {2000, 500}) {
    const Floats recording = tone(count, 300, 8000, 0.3);
    for (std::uint32_t i = 0; i < 200; ++i) {
      const SoundParameters drawn = draw_sound_parameters(policy, count, *noises, key_of(i));
      REQUIRE(drawn.noise);
      CHECK((drawn.snr_db >= 0.0f && drawn.snr_db <= 20.0f));
      sounds.insert(drawn.noise_sound);
      if (drawn.noise_sound == 0) begins.insert(drawn.noise_begin);
      const Floats view = view_of(views, recording, key_of(i));
      const Floats clean = view_of(SoundViews(plain()), recording, key_of(i));
      Floats added(800), noise(800), shown;
      const Floats& source = (*noises)[drawn.noise_sound];
      for (std::size_t t = 0; t < 800; ++t) {
        added[t] = view[t] - clean[t];
        noise[t] = source[(static_cast<std::size_t>(drawn.noise_begin) + t) % source.size()];
        const std::int64_t at = drawn.begin + static_cast<std::int64_t>(t);
        if (at >= 0 && at < count) shown.push_back(clean[t]);
      }
      CHECK(shown.size() == static_cast<std::size_t>(std::min<std::int64_t>(count, 800)));
      CHECK(10 * std::log10(power(shown) / power(added)) == Approx(drawn.snr_db).margin(0.01));
      const double factor = std::sqrt(power(added) / power(noise));
      for (std::size_t t = 0; t < 800; ++t) CHECK(std::abs(added[t] - factor * noise[t]) < 1e-5);
    }
  }
  CHECK(sounds.size() == 2);
  CHECK((begins.size() > 60 && *begins.rbegin() <= 2200));
  CHECK(view_of(views, Floats(900, 0.0f), key_of(0)) == Floats(800, 0.0f));  // silence stays
  CHECK_THAT(message_of([&] { SoundViews without(policy); }), Contains("there are no noises to mix in"));
}

TEST_CASE("A view is a function of its key") {
  const SoundPolicy policy{.rate = 8000, .seconds = 0.1, .noise_probability = 0.5f};
  const auto noises = std::make_shared<const Noises>(Noises{tone(3000, 700, 8000)});
  const SoundViews views(policy, noises);
  const Floats recording = tone(5000, 440, 8000);
  const ViewKey key{.seed = 1, .sample = 2, .epoch = 3, .view = 4};
  const Floats view = view_of(views, recording, key);
  CHECK(view == view_of(SoundViews(policy, noises), recording, key));
  for (const ViewKey& other : {ViewKey{2, 2, 3, 4}, ViewKey{1, 3, 3, 4}, ViewKey{1, 2, 4, 4}, ViewKey{1, 2, 3, 5}}) {
    CHECK(view != view_of(views, recording, other));
  }
  // Each step is on as often as its probability says, whatever the others do.
  int sped = 0, gained = 0, noisy = 0, all = 0;
  for (std::uint32_t i = 0; i < 4000; ++i) {
    const SoundParameters drawn = draw_sound_parameters(policy, 5000, *noises, key_of(i));
    const bool speed = drawn.speed != 1.0, gain = drawn.gain != 1.0f;
    sped += speed ? 1 : 0;
    gained += gain ? 1 : 0;
    noisy += drawn.noise ? 1 : 0;
    all += speed && gain && drawn.noise ? 1 : 0;
  }
  CHECK((std::abs(sped - 2000) < 160 && std::abs(gained - 3200) < 130 && std::abs(noisy - 2000) < 160));
  CHECK(std::abs(all - 800) < 130);
}

TEST_CASE("Bad samples and policies are named") {
  const SoundViews views(plain());
  Floats bad(900, 0.5f);
  bad[700] = std::numeric_limits<float>::quiet_NaN();
  Floats out(800);
  const auto error = [&](Sample sample) {
    return message_of([&] { views.make_view(sample, {}, reinterpret_cast<std::byte*>(out.data())); });
  };
  Sample sample = sample_of(bad);
  sample.finite = false;
  CHECK_THAT(error(sample), Contains("sample 700 is nan"));
  sample.shape = {30, 30};
  CHECK_THAT(error(sample), Contains("[samples] is needed"));
  sample.shape = {900};
  sample.dtype = DType::i32;
  CHECK_THAT(error(sample), Contains("not f32"));
  const auto policy_error = [](const SoundPolicy& policy) { return message_of([&] { check(policy); }); };
  CHECK(policy_error({}) == "no error");
  CHECK_THAT(policy_error({.rate = 10}), Contains("rate is 10"));
  CHECK_THAT(policy_error({.seconds = std::nan("")}), Contains("seconds is nan"));
  CHECK_THAT(policy_error({.speed_probability = 1.5f}), Contains("speed_probability is 1.5, 0 to 1"));
  CHECK_THAT(policy_error({.speed_min = 1.1f, .speed_max = 1.0f}), Contains("speed_max is 1, 1.1"));
  CHECK_THAT(policy_error({.shift_share = 0.6f}), Contains("shift_share is 0.6, 0 to 0.5"));
}

TEST_CASE("Steps that reach beyond what there is are refused") {
  const Noises noises = {ramp(10)};
  const auto error = [&](const SoundParameters& steps) {
    Floats out(801, 77.0f);
    const std::string message = message_of([&] { augment_sound(ramp(900), steps, noises, std::span(out).first(800)); });
    CHECK(out[800] == 77.0f);
    return message;
  };
  CHECK(error({.length = 800, .noise = true, .noise_begin = 9}) == "no error");
  CHECK_THAT(error({.length = 801}), Contains("a view of 801 samples, and room for 800"));
  CHECK_THAT(error({.length = 800, .noise = true, .noise_begin = -3}), Contains("noise_begin is -3"));
  CHECK_THAT(error({.length = 800, .noise = true, .noise_sound = 1}), Contains("noise 1 of 1 is not there"));
}

TEST_CASE("Noises are read once; what cannot be used is named") {
  MemoryData data{
      .samples = Tensor::zeros({3, 4}, DType::f32), .labels = {-1, -1, -1}, .classes = {}, .description = "noises"};
  for (int i = 0; i < 4; ++i) data.samples.data<float>()[4 + i] = static_cast<float>(i);
  std::vector<std::string> warnings;
  const auto set = memory_dataset(data);
  CHECK(read_noises(*set, warnings) == Noises{{0.0f, 1.0f, 2.0f, 3.0f}});
  CHECK(warnings ==
        std::vector<std::string>{"noise 0: the noise is silent (left out)", "noise 2: the noise is silent (left out)"});
  data.samples = Tensor::zeros({3, 4}, DType::f32);
  warnings = {"another's"};
  CHECK_THAT(message_of([&] { read_noises(*memory_dataset(data), warnings); }),
             Contains("none of them can be mixed in as noise: noise 0: the noise is silent"));
}

TEST_CASE("Masks and the warp of a spectrogram, against plain loops") {
  const std::int32_t frames = 31, mels = 33;
  const SpectrogramPolicy policy{.time_masks = 2, .mel_masks = 3};
  Floats original(static_cast<std::size_t>(frames * mels));
  for (std::size_t i = 0; i < original.size(); ++i) original[i] = std::sin(0.37f * static_cast<float>(i)) - 3.0f;
  for (std::uint32_t i = 0; i < 200; ++i) {
    const SpectrogramParameters drawn = draw_spectrogram_parameters(policy, frames, mels, key_of(i));
    Floats wanted(original.size());
    const double last = mels - 1, knee = 0.8 * last * std::min(1.0f, drawn.warp) / drawn.warp;
    double mean = 0.0;
    for (std::int32_t f = 0; f < frames; ++f) {
      for (std::int32_t m = 0; m < mels; ++m) {
        const double place = m <= knee ? m * double{drawn.warp}
                                       : knee * drawn.warp + (m - knee) * (last - knee * drawn.warp) / (last - knee);
        const int below = std::min(static_cast<int>(place), mels - 2);
        const double low = original[static_cast<std::size_t>(f * mels + below)],
                     high = original[static_cast<std::size_t>(f * mels + below + 1)];
        wanted[static_cast<std::size_t>(f * mels + m)] = static_cast<float>(low + (high - low) * (place - below));
        mean += wanted[static_cast<std::size_t>(f * mels + m)] / (frames * mels);
      }
    }
    Floats found = original;
    augment_spectrogram(found, mels, policy, key_of(i));
    double far = 0.0;
    for (std::int32_t f = 0; f < frames; ++f) {
      for (std::int32_t m = 0; m < mels; ++m) {
        bool hidden = false;
        for (const auto& mask : drawn.time) hidden |= f >= mask.begin && f < mask.begin + mask.count;
        for (const auto& mask : drawn.mel) hidden |= m >= mask.begin && m < mask.begin + mask.count;
        const auto at = static_cast<std::size_t>(f * mels + m);
        far = std::max(far, std::abs(found[at] - (hidden ? mean : wanted[at])));
      }
    }
    CHECK(far < 1e-4);
    Floats again = original;
    augment_spectrogram(again, mels, policy, key_of(i));
    CHECK(again == found);
  }
}

TEST_CASE("Masks are as wide and as many as the policy says") {
  const SpectrogramPolicy policy{.time_masks = 1, .time_share = 0.2f, .mel_share = 0.5f};
  std::vector<int> widths(21), begins(101);
  int warped = 0;
  for (std::uint32_t i = 0; i < 4200; ++i) {
    const SpectrogramParameters drawn = draw_spectrogram_parameters(policy, 100, 64, key_of(i));
    REQUIRE((drawn.time[0].count >= 0 && drawn.time[0].count <= 20));
    REQUIRE((drawn.time[0].begin >= 0 && drawn.time[0].begin + drawn.time[0].count <= 100));
    ++widths[static_cast<std::size_t>(drawn.time[0].count)];
    CHECK((drawn.mel[0].count <= 32 && drawn.mel[0].begin + drawn.mel[0].count <= 64));
    CHECK((drawn.time[1].count == 0 && drawn.mel[1].count == 0));
    CHECK((drawn.warp >= 0.9f && drawn.warp <= 1.1f));
    warped += drawn.warp != 1.0f ? 1 : 0;
  }
  for (const int count : widths) CHECK(std::abs(count - 200) < 5 * std::sqrt(190.0));
  CHECK(std::abs(warped - 2100) < 5 * std::sqrt(1050.0));
  Floats one(64, 1.0f);
  augment_spectrogram(one, 64, policy, key_of(0));  // a single frame
  CHECK(one == Floats(64, 1.0f));
  CHECK_THAT(message_of([&] { augment_spectrogram(one, 63, policy, key_of(0)); }),
             Contains("64 values are no frames of 63 mels"));
  CHECK_THAT(message_of([] { check(SpectrogramPolicy{.mel_masks = 9}); }), Contains("mel_masks is 9, 0 to 8"));
  CHECK_THAT(message_of([&] { augment_spectrogram(one, 64, {.mel_share = 1.5f}, key_of(0)); }),
             Contains("mel_share is 1.5, 0 to 1"));
  CHECK_THAT(message_of([] { draw_spectrogram_parameters({.time_masks = 9}, 100, 64, key_of(0)); }),
             Contains("time_masks is 9, 0 to 8"));
}
