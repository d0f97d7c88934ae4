#include "train/drawn_views.h"

#include <simclr/core/error.h>

#include "support/catch.h"

#include <numeric>

using namespace simclr;

namespace {

/// Samples of no bytes; every fourth one cannot be read.
class Empty final : public data::Dataset {
 public:
  std::int64_t size() const override { return 8; }
  data::Sample sample(std::int64_t i, int) const override {
    if (i % 4 == 3) fail("sample ", i, " is broken");
    return {.bytes = {}, .shape = {1}, .label = static_cast<std::int32_t>(i), .owner = nullptr};
  }
  std::int32_t label(std::int64_t) const override { return -1; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string describe() const override { return "empty"; }

 private:
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

TEST_CASE("drawn views have their maker's dtype, and zeros behind their end") {
  using Values = std::vector<std::int32_t>;
  const auto drawn = draw_views(Empty(), Ids(), 1, 8);
  REQUIRE(drawn.size() == 6);
  for (const auto& [sample, views] : drawn) {
    REQUIRE(views.size() == 2);
    for (std::int32_t v = 0; v < 2; ++v) {
      Values expected(8);
      std::iota(expected.begin(), expected.begin() + 2 * (4 - sample.label % 4), 70001 + 100 * sample.label + 10 * v);
      REQUIRE(views[static_cast<std::size_t>(v)].dtype() == DType::i32);
      CHECK(views[static_cast<std::size_t>(v)].to_vector<std::int32_t>() == expected);
    }
  }
  CHECK(draw_views(Empty(), Ids(), 1, 2).size() == 2);
}
