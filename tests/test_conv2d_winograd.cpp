// Winograd's convolution: for which shapes it is, and that it agrees with the definition.
#include "support/conv2d_cases.h"

#include <vector>

using namespace simclr;
using namespace simclr::test;

namespace {

/// Of Winograd's loops: odd sides, every padding, panels of every width, several blocks of outputs, channels that f64's
/// vectors divide but f32's do not, several slices of tiles.
struct WinogradCases {
  const char* name;
  std::vector<Case> cases;
};
const WinogradCases winograd_cases[] = {
    {"winograd 2x2",
     {{1, 4, 4, 16, 16, 3, 3, 1, 1},
      {2, 9, 7, 48, 80, 3, 3, 1, 1},
      {1, 6, 9, 16, 32, 3, 3, 1, 0},
      {3, 5, 6, 32, 16, 3, 3, 1, 2},
      {1, 7, 5, 16, 144, 3, 3, 1, 1},
      {1, 5, 4, 160, 32, 3, 3, 1, 1},
      {3, 2, 2, 32, 64, 3, 3, 1, 1},
      {2, 8, 8, 24, 40, 3, 3, 1, 1},
      {2, 6, 9, 16, 32, 3, 3, 1, {0, 1}},
      {2, 9, 6, 32, 16, 3, 3, 1, {2, 0}},
      {400, 2, 2, 16, 16, 3, 3, 1, 1}}},
    {"winograd 4x4",
     {{50, 4, 4, 32, 80, 3, 3, 1, 1},
      {14, 9, 11, 48, 16, 3, 3, 1, 1},
      {10, 13, 10, 16, 16, 3, 3, 1, 0},
      {20, 5, 6, 32, 16, 3, 3, 1, 2},
      {14, 12, 10, 16, 32, 3, 3, 1, {1, 2}},
      {14, 10, 14, 32, 16, 3, 3, 1, {2, 0}},
      {34, 7, 5, 16, 144, 3, 3, 1, 1},
      {50, 3, 3, 160, 16, 3, 3, 1, 1},
      {14, 8, 8, 24, 40, 3, 3, 1, 1},
      {100, 8, 8, 16, 16, 3, 3, 1, 1},
      {40, 9, 8, 16, 48, 3, 3, 1, 1}}},
};

}  // namespace

TEST_CASE("Winograd's convolution agrees with the definition, in the same bits for any thread count") {
  for (const auto& [name, listed] : winograd_cases) {
    for (const Case& one : listed) {
      INFO(one);
      const Results expected = reference(one);
      for (const DType dtype : {DType::f32, DType::f64}) {
        const Results got = run(chosen(), one, dtype);
        check_near(one, got, expected, dtype);
        for (const int count : {1, 2, 3, 7}) {
          const Threads scope(count);
          CHECK(all_same_bits(run(chosen(), one, dtype), got));
        }
      }
      if (one.c % 16 != 0) continue;
      CHECK(implementation(one, Conv2dDirection::forward) == name);
      for (const Conv2dDirection direction : directions) CHECK(is_winograd(one, direction));
    }
  }
}

TEST_CASE("Winograd's convolution is for 3x3 kernels, stride 1, and tiles that are not half empty") {
  CHECK(is_winograd({1, 8, 8, 16, 16, 3, 3, 1, 1}));
  CHECK(!is_winograd({1, 8, 8, 16, 16, 3, 3, 2, 1}));
  CHECK(!is_winograd({1, 8, 8, 16, 16, 3, 3, {1, 2}, 1}));
  CHECK(!is_winograd({1, 8, 8, 16, 16, 3, 3, {2, 1}, 1}));
  CHECK(!is_winograd({1, 8, 8, 16, 16, 5, 5, 1, 1}));
  CHECK(!is_winograd({1, 8, 8, 3, 16, 3, 3, 1, 1}));
  CHECK(!is_winograd({1, 8, 8, 16, 3, 3, 3, 1, 1}));
  CHECK(!is_winograd({200, 1, 8, 16, 16, 3, 3, 1, 1}));
  CHECK(!is_winograd({1, 3, 3, 16, 16, 3, 3, 1, 1}));
}

TEST_CASE("Winograd's convolution keeps a NaN or an infinity where the definition has it") {
  const auto check = [](const Case& one, const char* name, auto may) {
    CHECK(implementation(one, Conv2dDirection::forward) == name);
    Inputs in(one, DType::f32);
    for (const float fault : {NAN, INFINITY}) {
      in.x.data<float>()[(5 * one.w + 4) * one.c + 3] = fault;
      const std::vector<float> y = conv2d_forward(in.x, in.w, one.geometry()).to_vector<float>();
      for (std::size_t i = 0; i < y.size(); ++i) {
        const auto pixel = static_cast<std::int64_t>(i) / one.o, row = pixel / one.w, column = pixel % one.w;
        const bool reached = row >= 4 && row <= 6 && column >= 3 && column <= 5;
        if (reached || !may(row, column)) REQUIRE(std::isfinite(y[i]) == !reached);
      }
    }
  };
  check({1, 10, 10, 16, 16, 3, 3, 1, 1}, "winograd 2x2", [](auto, auto) { return false; });
  check({8, 12, 12, 16, 16, 3, 3, 1, 1}, "winograd 4x4",  // whole tiles
        [](std::int64_t row, std::int64_t column) { return row >= 4 && row < 8 && column < 8; });
}
