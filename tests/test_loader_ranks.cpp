// Ranks' parts of every batch: together what one process serves, bit for bit.

#include <simclr/core/error.h>
#include <simclr/data/loader.h>
#include <simclr/data/pictures/augmentation.h>
#include <simclr/data/pictures/device_loader.h>
#include <simclr/data/pictures/picture_views.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/numbers.h"
#include "support/tensors.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using Catch::Matchers::Contains;
using simclr::test::message_of;

namespace {

/// Samples in groups of five, every seventh without a label.
class Grouped : public Numbers {
 public:
  explicit Grouped(std::int64_t size, std::function<bool(std::int64_t)> broken = {})
      : Numbers(size, std::move(broken)) {
    for (std::int64_t i = 0; i < size; ++i) groups_.push_back(static_cast<std::int32_t>(i / 5));
  }
  Sample sample(std::int64_t i, int part) const override {
    Sample sample = Numbers::sample(i, part);
    sample.label = label(i);
    return sample;
  }
  std::int32_t label(std::int64_t i) const override { return i % 7 == 0 ? -1 : Numbers::label(i); }
  const std::vector<std::int32_t>& groups() const override { return groups_; }

 private:
  std::vector<std::int32_t> groups_;
};

/// Views of which every fourth sample's are short, and which refuse some samples in some epochs.
class Moody : public Probes {
 public:
  std::int32_t make_view(const Sample& sample, const ViewKey& key, std::byte* out) const override {
    SIMCLR_CHECK((key.sample + 3 * key.epoch) % 17 != 0, "moody: not now");
    Probes::make_view(sample, key, out);
    return key.sample % 4 == 0 ? 2 : 3;
  }
};

std::vector<Tower> two_towers() {
  return {{.maker = std::make_shared<Moody>()}, {.maker = std::make_shared<Probes>(), .views = 3}};
}

std::vector<std::byte> bytes_of(const Tensor& x) {
  const auto* first = static_cast<const std::byte*>(x.raw_data());
  return {first, first + x.bytes()};
}

/// Of a batch's rows those of one tower, view by view and in the order of all ranks.
Tensor joined(const std::vector<Batch>& parts, std::size_t tower, Tensor (*of)(const Batch&, std::size_t)) {
  std::int64_t whole = 0;
  for (const Batch& part : parts) whole += part.size;
  const Tensor like = of(parts[0], tower);
  const std::int64_t views = parts[0].views_each(static_cast<int>(tower));
  Tensor all = Tensor::empty(like.shape().with_first(views * whole), like.dtype());
  for (const Batch& part : parts) {
    const Tensor rows = of(part, tower);
    for (std::int64_t v = 0; v < views; ++v) {
      all.narrow(v * whole + part.first, part.size).copy_from(rows.narrow(v * part.size, part.size));
    }
  }
  return all;
}

/// All that a batch tells of a tower; lengths that are not there are full.
const std::vector<Tensor (*)(const Batch&, std::size_t)> told = {
    [](const Batch& b, std::size_t t) { return b.towers[t].x; },
    [](const Batch& b, std::size_t t) { return b.towers[t].keys; },
    [](const Batch& b, std::size_t t) { return b.towers[t].groups; },
    [](const Batch& b, std::size_t t) { return b.label_groups(static_cast<int>(t)); },
    [](const Batch& b, std::size_t t) {
      const Input& input = b.towers[t];
      return input.lengths.defined() ? input.lengths
                                     : Tensor::full({input.rows()}, static_cast<double>(input.x.dim(1)), DType::i32);
    }};

/// Whether the ranks' parts are the whole batch.
void check_whole(const Batch& whole, const std::vector<Batch>& parts) {
  std::vector<std::int64_t> indices;
  std::vector<std::int32_t> labels;
  for (const Batch& part : parts) {
    CHECK(part.size == whole.size / std::ssize(parts));
    CHECK(part.first == std::ssize(indices));
    indices.insert(indices.end(), part.indices.begin(), part.indices.end());
    labels.insert(labels.end(), part.labels.begin(), part.labels.end());
  }
  CHECK(indices == whole.indices);
  CHECK(labels == whole.labels);
  for (std::size_t t = 0; t < whole.towers.size(); ++t) {
    for (const auto of : told) CHECK(bytes_of(joined(parts, t, of)) == bytes_of(of(whole, t)));
  }
}

std::vector<Batch> all_batches(const Loader& loader, std::uint32_t epoch, std::int64_t first_batch) {
  std::vector<Batch> batches;
  for (const Batch& batch : loader.epoch(epoch, first_batch)) batches.push_back(batch);
  return batches;
}

}  // namespace

TEST_CASE("The ranks' batches are together those of one process, bit for bit") {
  const int ranks = GENERATE(1, 2, 3, 4), workers = GENERATE(0, 1, 3);
  const bool damaged = GENERATE(false, true);
  CAPTURE(ranks, workers, damaged);
  // 2 to 5 and 14 to 17 are broken: whole parts of some batches, and replacements of one another.
  const auto broken = [damaged](std::int64_t i) { return damaged && i % 12 >= 2 && i % 12 <= 5; };
  const auto samples = std::make_shared<Grouped>(132, broken);
  const auto loader_of = [&](const Shard& shard, bool drop_last) {
    return Loader(samples, two_towers(),
                  {.batch_size = 24,
                   .shard = shard,
                   .drop_last = drop_last,  // else the last batch has 12 samples
                   .seed = 5,
                   .workers = shard.ranks == 1 ? 0 : workers,
                   .on_warning = [](const std::string&) {}});
  };
  for (const bool drop_last : {true, false}) {
    const Loader whole = loader_of({}, drop_last);
    std::vector<Loader> loaders;
    for (int r = 0; r < ranks; ++r) loaders.push_back(loader_of({r, ranks}, drop_last));
    for (const std::uint32_t epoch : {0u, 1u, 7u}) {
      const std::int64_t first_batch = epoch == 1 ? 2 : 0;  // as a run goes on
      const std::vector<Batch> expected = all_batches(whole, epoch, first_batch);
      REQUIRE(std::ssize(expected) == (drop_last ? 5 : 6) - first_batch);
      std::vector<std::vector<Batch>> own;
      for (const Loader& loader : loaders) {
        CHECK(loader.batches() == whole.batches());
        own.push_back(all_batches(loader, epoch, first_batch));
        REQUIRE(own.back().size() == expected.size());
      }
      for (std::size_t k = 0; k < expected.size(); ++k) {
        std::vector<Batch> parts;
        for (const auto& batches : own) parts.push_back(batches[k]);
        check_whole(expected[k], parts);
      }
      std::set<std::int64_t> skipped;  // all ranks meet what one process meets
      for (const Loader& loader : loaders) {
        for (const std::int64_t i : loader.skipped_samples()) skipped.insert(i);
      }
      const std::vector<std::int64_t> met = whole.skipped_samples();
      CHECK(std::vector<std::int64_t>(skipped.begin(), skipped.end()) == met);
      CHECK(whole.skipped() == std::ssize(met));
      CHECK(met.size() > (damaged ? 30u : 4u));
    }
  }
}

TEST_CASE("A rank reads its own samples, and what replaces them") {
  const auto samples = std::make_shared<Numbers>(96);
  for (int r = 0; r < 4; ++r) {
    samples->reads = 0;
    const Loader loader(samples, std::make_shared<Probes>(), {.batch_size = 16, .shard = {r, 4}, .workers = 2});
    CHECK(all_batches(loader, 0, 0).size() == 6);
    CHECK(samples->reads == 24);
  }
}

TEST_CASE("A rank's share of one pass ends where it ends: no sample of the next rank is read") {
  const auto samples = std::make_shared<Numbers>(20);
  for (const int workers : {0, 2}) {
    for (int rank = 0; rank < 3; ++rank) {
      samples->reads = 0;
      std::size_t served = 0;
      {
        const NextBatch next = one_pass(samples, std::make_shared<Probes>(),
                                        {.batch_size = 2, .shard = {rank, 3}, .workers = workers, .prefetch = 8});
        Input input;
        for (std::vector<std::int32_t> labels; next(input, labels);) served += labels.size();
      }
      CAPTURE(workers, rank);
      CHECK(served == (rank < 2 ? 6 : 8));
      CHECK(samples->reads == static_cast<int>(served));
    }
  }
}

TEST_CASE("Ranks of which each finds most of a data set unreadable end") {
  const Loader loader(std::make_shared<Numbers>(40, [](std::int64_t i) { return i > 3; }), std::make_shared<Probes>(),
                      {.batch_size = 8, .shard = {1, 2}, .on_warning = [](const std::string&) {}});
  CHECK_THROWS_AS(all_batches(loader, 0, 0), UnreadableData);
}

TEST_CASE("Sizes that ranks cannot share are refused with those that fit") {
  const auto numbers = std::make_shared<Numbers>(103);
  const auto error = [&](const LoaderOptions& options) {
    return message_of([&] { Loader(numbers, std::make_shared<Probes>(), options); });
  };
  CHECK(error({.batch_size = 10, .shard = {0, 3}}) ==
        "loader: batch_size 10 for 3 ranks, which hold as many samples each; 9 and 12 fit");
  CHECK(error({.batch_size = 2, .shard = {0, 3}}) ==
        "loader: batch_size 2 for 3 ranks, which hold as many samples each; 3 fits");
  CHECK(
      error({.batch_size = 12, .shard = {0, 4}, .drop_last = false}) ==
      "loader: 103 samples for 4 ranks, which hold as many of the last batch each: turn drop_last on, or leave 3 out");
  CHECK(error({.batch_size = 12, .shard = {0, 4}}) == "no error");
  CHECK(error({.batch_size = 104, .shard = {0, 4}, .drop_last = false}) != "no error");
  for (const Shard& none : {Shard{-1, 2}, Shard{2, 2}, Shard{0, 0}, Shard{0, -1}}) {
    CHECK_THAT(error({.batch_size = 12, .shard = none}), Contains("; there is none"));
  }
  CHECK(message_of([&] {
          DeviceLoader(*numbers, Augmentation::simclr(8), Device{}, {.batch_size = 10, .shard = {0, 3}});
        }) == "device loader: batch_size 10 for 3 ranks, which hold as many samples each; 9 and 12 fit");
}

TEST_CASE("The ranks' shares of one pass, one after the other, are the pass of one process, batch for batch") {
  const auto pass = [](std::int64_t size, const Shard& shard) {
    const NextBatch next =
        one_pass(std::make_shared<Numbers>(size), std::make_shared<Probes>(), {.batch_size = 3, .shard = shard});
    Input input;
    std::vector<std::vector<std::int32_t>> batches;
    for (std::vector<std::int32_t> labels; next(input, labels);) batches.push_back(labels);
    return batches;
  };
  for (const std::int64_t size : {1, 7, 24}) {
    const auto whole = pass(size, {});
    CHECK(std::ssize(whole) == (size + 2) / 3);
    for (const int ranks : {1, 2, 3, 4, 9}) {
      std::vector<std::vector<std::int32_t>> all;
      for (int rank = 0; rank < ranks; ++rank) {
        for (const auto& batch : pass(size, {rank, ranks})) all.push_back(batch);
      }
      CAPTURE(size, ranks);
      CHECK(all == whole);
    }
  }
  CHECK_THROWS_WITH(one_pass(std::make_shared<Numbers>(7), std::make_shared<Probes>(), {.shard = {2, 2}}),
                    Contains("; there is none"));
}

namespace {

/// Small pictures, some of which cannot be read.
class SomePictures final : public Dataset {
 public:
  explicit SomePictures(std::int64_t size) {
    const Tensor random = test::random_tensor({size, 6, 5, 3}, 1, DType::f32, 0, 255);
    for (const float value : random.to_vector<float>()) bytes_.push_back(static_cast<std::uint8_t>(value));
    size_ = size;
  }
  std::int64_t size() const override { return size_; }
  Sample sample(std::int64_t i, int) const override {
    SIMCLR_CHECK(i % 6 > 1, "picture ", i, " is corrupt");
    return {.bytes = std::as_bytes(std::span(bytes_)).subspan(static_cast<std::size_t>(i * 90), 90),
            .shape = {6, 5, 3},
            .owner = nullptr};
  }
  std::int32_t label(std::int64_t) const override { return -1; }
  const std::vector<std::string>& classes() const override { return none_; }
  std::string describe() const override { return "pictures"; }

 private:
  std::int64_t size_ = 0;
  std::vector<std::uint8_t> bytes_;
  std::vector<std::string> none_;
};

/// The rows of some views that rank `shard` has.
std::vector<std::byte> own_rows(const Tensor& whole, std::int64_t views, const Shard& shard) {
  const std::int64_t all = whole.dim(0) / views, own = all / shard.ranks;
  std::vector<std::byte> rows;
  for (std::int64_t v = 0; v < views; ++v) {
    const std::vector<std::byte> some = bytes_of(whole.narrow(v * all + shard.rank * own, own).clone());
    rows.insert(rows.end(), some.begin(), some.end());
  }
  return rows;
}

}  // namespace

TEST_CASE("The ranks' batches on a device are together those of one process, bit for bit") {
  const int ranks = GENERATE(1, 2, 3, 4);
  const SomePictures pictures(50);
  const auto loader_of = [&](const Shard& shard) {
    return DeviceLoader(pictures, Augmentation::simclr(8), Device{},
                        {.batch_size = 12,
                         .shard = shard,
                         .views = 3,
                         .shuffle_block = 10,
                         .seed = 3,
                         .on_warning = [](const std::string&) {}});
  };
  DeviceLoader whole = loader_of({});
  const std::vector<std::int64_t> skipped = whole.skipped_samples();
  REQUIRE(std::ssize(skipped) == whole.skipped());
  CHECK(std::vector<std::int64_t>(skipped.begin(), skipped.begin() + 5) == std::vector<std::int64_t>{0, 1, 6, 7, 12});
  for (int r = 0; r < ranks; ++r) {
    const Shard shard{r, ranks};
    CAPTURE(r, ranks);
    DeviceLoader own = loader_of(shard);
    CHECK(own.batches() == 4);
    for (const std::uint32_t epoch : {0u, 3u}) {
      const std::int64_t first_batch = epoch == 3 ? 1 : 0;
      whole.begin(epoch, first_batch);
      own.begin(epoch, first_batch);
      while (whole.next()) {
        REQUIRE(own.next());
        const Input all = whole.views(), part = own.views();
        CHECK(bytes_of(part.x) == own_rows(all.x, 3, shard));
        CHECK(bytes_of(part.keys) == own_rows(all.keys, 3, shard));
        CHECK(bytes_of(own.indices()) == own_rows(whole.indices(), 1, shard));
      }
      CHECK(!own.next());
    }
  }
}
