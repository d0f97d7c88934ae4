#include "support/device.h"
#include "support/logmel.h"
#include "support/sequences.h"

#include <simclr/core/graph.h>

using namespace simclr;
using namespace simclr::kernels;
using test::log_error;
using test::logmel_options;
using test::power_error;
using test::sounds;

namespace {

struct Case {
  std::int64_t fft, window, hop, sequences, samples;
};

/// Windows odd and even, around the stages' 32 pairs; bins and frames around the tiles' 64.
const std::vector<Case> cases = {
    {4, 2, 3, 1, 5},         {8, 7, 2, 2, 11},       {30, 25, 8, 1, 1},          {64, 64, 16, 3, 90},
    {128, 65, 30, 2, 130},   {128, 127, 9, 1, 560},  {256, 129, 100, 2, 640},    {400, 400, 160, 2, 1000},
    {512, 400, 160, 4, 700}, {256, 200, 10, 2, 330}, {1024, 1000, 512, 4, 1100},
};

}  // namespace

DEVICE_TEST_CASE("a log-mel agrees with double on the device") {
  for (const Case& c : cases) {
    for (const std::uint64_t seed : {0, 7}) {
      CAPTURE(c.fft, c.window, c.hop, c.sequences, c.samples, seed);
      const Tensor exact = sounds(c.sequences, c.samples, 1, DType::f64);
      const Tensor there = exact.to(DType::f32).to(test::device());
      const Tensor lengths = seed == 0 ? Tensor() : test::random_lengths(c.sequences, seed, c.samples);
      const Tensor lengths_there = seed == 0 ? Tensor() : lengths.to(test::device());
      for (const double floor : {1e-20, 1e-6}) {
        const LogmelOptions options = logmel_options(c.fft, c.window, c.hop, floor);
        const LogmelResult got = logmel(there, lengths_there, logmel_plan(options, test::device())),
                           expected = logmel(exact, lengths, logmel_plan(options, {}, DType::f64));
        if (floor == 1e-20) {  // what is promised are 1e-5 and 1e-3
          CHECK(power_error(got.y, expected.y) < 3e-6);
        } else {
          CHECK(log_error(got.y, expected.y) < 2e-4);
        }
        CHECK(got.lengths.defined() == lengths.defined());
        if (lengths.defined()) {
          CHECK(got.lengths.to_vector<std::int32_t>() == expected.lengths.to_vector<std::int32_t>());
        }
      }
    }
  }
}

DEVICE_TEST_CASE("a log-mel of other rates, mels and frequencies agrees with double on the device") {
  const Tensor exact = sounds(2, 500, 3, DType::f64);
  for (const LogmelOptions& options :
       {LogmelOptions{
            .sample_rate = 8000, .window = 200, .fft = 256, .hop = 80, .mels = 1, .lowest = 0, .highest = 4000},
        LogmelOptions{
            .sample_rate = 8000, .window = 256, .fft = 256, .hop = 100, .mels = 17, .lowest = 333.3, .highest = 3217.9},
        LogmelOptions{.sample_rate = 44100,
        .window = 1000,
        .fft = 1024,
        .hop = 441,
        .mels = 90,
        .lowest = 40,
        .highest = 22050}}) {
    CAPTURE(options.sample_rate, options.mels);
    const Tensor got = logmel(exact.to(DType::f32).to(test::device()), {}, logmel_plan(options, test::device())).y;
    CHECK(log_error(got, logmel(exact, {}, logmel_plan(options, {}, DType::f64)).y) < 2e-4);
  }
}

DEVICE_TEST_CASE("a log-mel gives the same bits each time, and replayed with other waveforms and lengths") {
  const LogmelPlan plan = logmel_plan(logmel_options(128, 100, 40, 1e-6), test::device());
  const Tensor first = sounds(3, 400, 1, DType::f32).to(test::device()),
               second = sounds(3, 400, 2, DType::f32).to(test::device());
  const Tensor lengths = test::random_lengths(3, 9, 400).to(test::device()),
               others = test::random_lengths(3, 10, 400).to(test::device());
  REQUIRE(others.to_vector<int>() != lengths.to_vector<int>());
  Tensor x = second.clone(), own = others.clone();
  LogmelResult got;
  const auto all = [&] { got = logmel(x, own, plan); };
  const auto bits = [&] { return std::vector<Tensor>{got.y.to(Device{}), got.lengths.to(Device{})}; };
  all();
  const auto expected = bits();
  all();
  CHECK(test::same_bits(bits(), expected));
  x.copy_from(first);
  own.copy_from(lengths);
  CapturedStep captured(test::device(), all);
  x.copy_from(second);
  own.copy_from(others);
  captured.replay();
  CHECK(test::same_bits(bits(), expected));
}

DEVICE_TEST_CASE("what is not finite and an impossible length show in their own frames alone") {
  const std::int64_t samples = 400;
  const LogmelPlan plan = logmel_plan(logmel_options(64, 50, 25, 1e-6), test::device());
  for (const int wrong : {-1, 401, 1 << 30}) {
    const Tensor waves = sounds(3, samples, 1, DType::f32);
    waves.narrow(2, 1).reshape({samples}).narrow(210, 1).fill(NAN);
    const Tensor lengths = Tensor::from(std::vector<std::int32_t>{400, wrong, 300}, {3}).to(test::device());
    const LogmelResult got = logmel(waves.to(test::device()), lengths, plan);
    CHECK(got.lengths.to_vector<std::int32_t>() == std::vector<std::int32_t>{17, -1, 13});
    const auto y = got.y.to_vector<double>();
    const auto mels = static_cast<std::size_t>(got.y.dim(2));
    for (std::size_t i = 0; i < y.size(); ++i) {
      const std::size_t n = i / mels / 17;
      const auto first = static_cast<std::int64_t>(i / mels % 17) * 25 - 25;
      REQUIRE(std::isnan(y[i]) == (n == 1 || (n == 2 && first < 210 && 210 < first + 50)));
    }
  }
}

DEVICE_TEST_CASE("a log-mel is of f32 on the device, with a plan made for it") {
  using Catch::Contains;
  CHECK_THROWS_WITH(logmel_plan({}, test::device(), DType::bf16), Contains("f32, or f64 on the CPU"));
  CHECK_THROWS_WITH(logmel_plan({}, test::device(), DType::f64), Contains("f32, or f64 on the CPU"));
  const Tensor waves = Tensor::zeros({1, 500}, DType::f32, test::device());
  CHECK_THROWS_WITH(logmel(waves, {}, logmel_plan({})), Contains("make the plan for their dtype and device"));
  CHECK_THROWS_WITH(logmel(waves, Tensor::zeros({1}, DType::i32), logmel_plan({}, test::device())),
                    Contains("lengths must be i32 [1] on"));
  LogmelPlan plan = logmel_plan({}, test::device());
  plan.options.window = 500;
  CHECK_THROWS_WITH(logmel(waves, {}, plan), Contains("of another window or fft than its options"));
  CHECK_THROWS_WITH(logmel_plan(logmel_options(65536, 65536, 160), test::device()), Contains("take a smaller fft"));
}
