#include "train/drawn_views.h"

#include <simclr/core/error.h>

#include "support/catch.h"
#include "support/ranks.h"

#include <numeric>

using namespace simclr;

namespace {

/// Samples of two parts of no bytes; every fourth one cannot be read, nor the second part of sample 4.
class Empty final : public data::Dataset {
 public:
  explicit Empty(std::int64_t broken = -1) : broken_(broken) {}
  std::int64_t size() const override { return 8; }
  int parts() const override { return 2; }
  data::Sample sample(std::int64_t i, int part) const override {
    if (i % 4 == 3 || (i == 4 && part == 1) || i == broken_) fail("sample ", i, " is broken");
    return {.bytes = {}, .shape = {1 + part}, .label = static_cast<std::int32_t>(i), .owner = nullptr};
  }
  std::int32_t label(std::int64_t) const override { return -1; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string describe() const override { return "empty"; }

 private:
  std::int64_t broken_;
  std::vector<std::string> classes_;
};

/// Token ids, the longest first: 4 of sample 0, 3 of sample 1, and so on, in the view's number too.
class Ids final : public data::ViewMaker {
 public:
  Shape view_shape() const override { return {4, 2}; }
  DType view_dtype() const override { return DType::i32; }
  std::int32_t make_view(const data::Sample&, const data::ViewKey& key, std::byte* out) const override {
    const auto length = 4 - static_cast<std::int32_t>(key.sample % 4);
    auto* const ids = reinterpret_cast<std::int32_t*>(out);
    std::iota(ids, ids + 2 * length, 70001 + static_cast<std::int32_t>(100 * key.sample + 10 * key.view));
    return length;
  }
};

}  // namespace

TEST_CASE("drawn views have their maker's dtype and their own length, tower by tower") {
  using Values = std::vector<std::int32_t>;
  const data::Tower tower{.maker = std::make_shared<Ids>(), .views = 2}, one{.maker = tower.maker, .views = 1};
  const auto drawn = draw_views(Empty(), {tower, one}, 1, 8);
  REQUIRE(drawn.size() == 6);
  for (const auto& [sample, towers] : drawn) {
    REQUIRE(towers.size() == 2);
    REQUIRE(towers[0].size() == 2);
    REQUIRE(towers[1].size() == 1);
    const std::vector<Tensor> views = {towers[0][0], towers[0][1], towers[1][0]};
    for (std::int32_t v = 0; v < 3; ++v) {  // counted on from tower to tower, as the loader does
      const Tensor& view = views[static_cast<std::size_t>(v)];
      const std::int32_t length = 4 - sample.label % 4;
      Values expected(static_cast<std::size_t>(2 * length));
      std::iota(expected.begin(), expected.end(), 70001 + 100 * sample.label + 10 * v);
      REQUIRE(view.dtype() == DType::i32);
      CHECK(view.shape() == Shape{length, 2});
      CHECK(view.to_vector<std::int32_t>() == expected);
    }
  }
  CHECK(draw_views(Empty(), {tower}, 1, 2).size() == 2);
}

TEST_CASE("a sample is drawn whole: its towers' parts, or where one cannot be read none") {
  const data::Tower first{.maker = std::make_shared<Ids>(), .views = 1, .part = 0},
      second{.maker = std::make_shared<Ids>(), .views = 1, .part = 1};
  const auto drawn = draw_views(Empty(), {first, second}, 1, 8);
  REQUIRE(drawn.size() == 5);  // sample 4 has no second part
  for (const auto& [sample, towers] : drawn) CHECK(sample.label != 4);
  CHECK(drawn[0].sample.shape == Shape{1});  // of the first part
}

TEST_CASE("a sample that a maker refuses is not drawn, and evaluation has no view of it") {
  class Strict final : public data::ViewMaker {
   public:
    Shape view_shape() const override { return {1}; }
    std::int32_t make_view(const data::Sample&, const data::ViewKey& key, std::byte*) const override {
      SIMCLR_CHECK(key.sample != 2, "strict: too short");
      return 1;
    }
  };
  const data::Tower strict{.maker = std::make_shared<Strict>(), .views = 1};
  const auto drawn = draw_views(Empty(), {strict}, 1, 8);
  REQUIRE(drawn.size() == 5);
  for (const auto& [sample, towers] : drawn) CHECK(sample.label != 2);
  CHECK(viewed(Empty(), {&strict, 1}, nullptr) == std::vector<std::int64_t>{0, 1, 4, 5, 6});
}

TEST_CASE("ranks have views of the same samples, where one cannot read what others can, too") {
  const data::Tower any[] = {{.maker = std::make_shared<Ids>()}, {.maker = std::make_shared<Ids>(), .part = 1}};
  const auto seen =
      test::of_each(2, [&](World& world) { return viewed(Empty(world.rank() == 1 ? 5 : -1), any, &world); });
  for (const auto& of_rank : seen) CHECK(of_rank == std::vector<std::int64_t>{0, 1, 2, 6});
}
