#include "modalities/pictures.h"
#include "train/training.h"

#include <simclr/simclr.h>

#include "support/catch.h"
#include "support/tensors.h"

#include <array>
#include <atomic>

using simclr::Device;
using simclr::DType;
using simclr::Tensor;
namespace data = simclr::data;

namespace {

/// Grey squares of 4 x 4, and how many of them were read.
class Squares : public data::Dataset {
 public:
  Squares() {
    for (std::size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = static_cast<std::uint8_t>(i / 16 * 20);
  }
  std::int64_t size() const override { return 12; }
  data::Sample sample(std::int64_t i, int) const override {
    ++reads;
    return {.bytes = std::as_bytes(std::span(bytes_)).subspan(static_cast<std::size_t>(i) * 16, 16),
            .shape = {4, 4, 1},
            .label = -1,
            .owner = nullptr};
  }
  std::int32_t label(std::int64_t) const override { return -1; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string describe() const override { return "squares"; }

  const std::vector<std::int32_t>& groups() const override { return groups_; }

  mutable std::atomic<int> reads = 0;

 private:
  std::array<std::uint8_t, 12 * 16> bytes_;
  std::vector<std::string> classes_;
  std::vector<std::int32_t> groups_ = {0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5};
};

/// The ids 70001 + 10 i, ... of sample i, one to four of them, and the view's number.
class Ids : public data::ViewMaker {
 public:
  simclr::Shape view_shape() const override { return {4}; }
  DType view_dtype() const override { return DType::i32; }
  std::int32_t make_view(const data::Sample&, const data::ViewKey& key, std::byte* out) const override {
    const auto length = static_cast<std::int32_t>(1 + key.sample % 4);
    for (std::int32_t k = 0; k < length; ++k) {
      reinterpret_cast<std::int32_t*>(out)[k] = 70001 + 10 * static_cast<std::int32_t>(key.sample) + k;
    }
    return length;
  }
};

}  // namespace

TEST_CASE("views of integers are never cast, and lengths, keys and groups come with each batch") {
  const auto squares = std::make_shared<Squares>();
  const auto policy = data::Augmentation::evaluation(4, 1);
  const std::vector<data::Tower> towers = {{.maker = std::make_shared<Ids>(), .views = 1},
                                           {.maker = std::make_shared<data::PictureViews>(policy), .views = 2}};
  for (const DType dtype : {DType::bf16, DType::f32}) {
    const auto source =
        host_view_source(data::Loader(squares, towers, {.batch_size = 3, .shuffle = false}), Device{}, dtype);
    source->begin(2, 0);
    for (std::int32_t first = 0; source->next(); first += 3) {
      const std::vector<simclr::Input> batch = source->towers();
      REQUIRE(batch.size() == 2);
      CHECK(batch[0].x.dtype() == DType::i32);
      CHECK(batch[1].x.dtype() == dtype);
      const auto ids = batch[0].x.to_vector<std::int32_t>(), keys = batch[0].keys.to_vector<std::int32_t>();
      const auto lengths = batch[0].lengths.to_vector<std::int32_t>();
      for (std::int32_t i = 0; i < 3; ++i) {
        const auto at = static_cast<std::size_t>(i);
        CHECK(lengths[at] == 1 + (first + i) % 4);
        CHECK(ids[4 * at] == 70001 + 10 * (first + i));  // bf16 has no such number
        CHECK(keys[3 * at] == first + i);
        CHECK(keys[3 * at + 1] == 2);
        CHECK(batch[0].groups.to_vector<std::int32_t>()[at] == (first + i) / 2);
      }
      CHECK(batch[1].keys.shape() == simclr::Shape{6, 3});
      CHECK(batch[1].groups.shape() == simclr::Shape{6});
      // Of views that are all full: written out where the values are copied, for a captured step runs on any batch.
      REQUIRE(batch[1].lengths.defined() == (dtype == DType::bf16));
      if (dtype == DType::bf16) CHECK(batch[1].lengths.to_vector<std::int32_t>() == std::vector<std::int32_t>(6, 4));
    }
  }
}

TEST_CASE("whether samples fit a device is told by all their parts") {
  class Large final : public Squares {
   public:
    explicit Large(int parts) : parts_(parts) {}
    std::int64_t size() const override { return 2'000'000'000; }
    int parts() const override { return parts_; }
    data::Sample sample(std::int64_t, int part) const override {
      return {.bytes = std::as_bytes(std::span(bytes)).first(part == 0 ? 1 : 15), .shape = {1}, .owner = nullptr};
    }
    std::array<std::uint8_t, 15> bytes = {};

   private:
    int parts_;
  };
  CHECK(fit_a_device(Large(1)));
  CHECK_FALSE(fit_a_device(Large(2)));
}

TEST_CASE("whether samples of several types fit a device is told by the widest of them") {
  class Mixed final : public Squares {
   public:
    explicit Mixed(DType other) : other_(other) {}
    std::int64_t size() const override { return 640'000'000; }
    data::Sample sample(std::int64_t i, int) const override {
      const DType dtype = i / 10'000'000 % 2 == 0 ? DType::u8 : other_;
      return {.bytes = std::as_bytes(std::span(values)).first(4 * static_cast<std::size_t>(simclr::size_of(dtype))),
              .shape = {2, 2, 1},
              .dtype = dtype,
              .owner = nullptr};
    }
    std::array<float, 4> values = {};

   private:
    DType other_;
  };
  CHECK(fit_a_device(Mixed(DType::u16)));
  CHECK_FALSE(fit_a_device(Mixed(DType::f32)));
}

TEST_CASE("the next batch is fetched when the step is queued, not before") {
  const auto squares = std::make_shared<Squares>();
  const Pictures pictures({}, data::Augmentation::evaluation(4, 1));
  const auto source = make_view_source(  // without workers: views are made when they are asked for
      squares, pictures, "host", {.batch_size = 4, .dtype = DType::bf16});
  for (const bool prefetch : {true, false}) {
    squares->reads = 0;
    source->begin(1, 0);
    std::vector<Tensor> seen;
    while (source->next()) {
      const int batches = static_cast<int>(seen.size()) + 1;
      CHECK(squares->reads == 4 * batches);
      seen.push_back(source->towers()[0].x.clone());
      if (!prefetch) continue;
      for (int times = 0; times < 2; ++times) source->prefetch();
      CHECK(squares->reads == 4 * std::min(batches + 1, 3));
      CHECK(simclr::test::same_bits(source->towers()[0].x, seen.back()));
    }
    CHECK(seen.size() == 3);
    CHECK(!simclr::test::same_bits(seen[0], seen[1]));
    CHECK(!source->next());
  }
}
