// The loader: order, views, unreadable samples. Its workers: test_loader_workers.cpp.

#include <simclr/core/error.h>
#include <simclr/core/random.h>
#include <simclr/data/loader.h>
#include <simclr/data/pictures/picture_views.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/numbers.h"
#include "support/tensors.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using Catch::Matchers::Contains;
using simclr::test::message_of;

TEST_CASE("An epoch's order is a permutation of the seed and the epoch") {
  const auto order = shuffled_order(1003, 7, 0);
  const std::set<std::int64_t> distinct(order.begin(), order.end());
  CHECK(distinct.size() == 1003);
  CHECK(*distinct.begin() == 0);
  CHECK(*distinct.rbegin() == 1002);
  CHECK(order == shuffled_order(1003, 7, 0));
  CHECK(order != shuffled_order(1003, 7, 1));
  CHECK(order != shuffled_order(1003, 8, 0));
  CHECK(shuffled_order(0, 7, 0).empty());
  CHECK(shuffled_order(1, 7, 0) == std::vector<std::int64_t>{0});

  // Every order of 4 comes about equally often: 2400 draws, 100 each expected, six standard deviations are 59.
  std::vector<std::vector<std::int64_t>> seen;
  for (std::uint32_t epoch = 0; epoch < 2400; ++epoch) seen.push_back(shuffled_order(4, 1, epoch));
  std::vector<std::int64_t> wanted{0, 1, 2, 3};
  do {
    const auto count = std::count(seen.begin(), seen.end(), wanted);
    CHECK(count > 41);
    CHECK(count < 159);
  } while (std::next_permutation(wanted.begin(), wanted.end()));
}

TEST_CASE("An order of blocks reads at most 16 of them at a time, and never a few alone") {
  constexpr std::int64_t size = 1003, block = 10;
  const auto order = shuffled_order(size, 7, 0, block);
  CHECK(std::set<std::int64_t>(order.begin(), order.end()).size() == size);
  std::map<std::int64_t, std::int64_t> left;  // samples to come of each block that has begun
  std::vector<std::set<std::int64_t>> groups(1);
  std::int64_t under_way = 0;
  for (const std::int64_t sample : order) {
    const auto [of_block, begins] = left.emplace(sample / block, std::min(block, size - sample / block * block));
    if (begins) ++under_way;
    groups.back().insert(sample / block);
    if (--of_block->second == 0 && --under_way == 0) groups.emplace_back();
  }
  groups.pop_back();
  CHECK(groups.size() == 7);  // of 101 blocks
  for (const auto& group : groups) CHECK((group.size() == 14 || group.size() == 15));
  CHECK(left.size() == 101);                             // each in one group
  CHECK(*groups[0].rbegin() - *groups[0].begin() > 16);  // which lie anywhere
  CHECK(order[0] / block != order[1] / block);           // and are mixed
  CHECK(order == shuffled_order(size, 7, 0, block));
  CHECK(order != shuffled_order(size, 7, 1, block));
  CHECK(order != shuffled_order(size, 8, 0, block));
  CHECK(order != shuffled_order(size, 7, 0, 11));
  CHECK(shuffled_order(size, 7, 0, size) == shuffled_order(size, 7, 0));
  CHECK_THROWS_AS(shuffled_order(size, 7, 0, -1), Error);
  const auto numbers = std::make_shared<Numbers>(103);
  const Loader loader(numbers, std::make_shared<Probes>(), {.batch_size = 103, .shuffle_block = 4, .seed = 5});
  const auto shown = served(loader, 2);
  const auto wanted = shuffled_order(103, 5, 2, 4);
  for (std::size_t i = 0; i < shown.size(); ++i) CHECK(shown[i][0] == static_cast<float>(wanted[i]));
}

TEST_CASE("Samples and views do not depend on workers, prefetch or batch size") {
  const auto numbers = std::make_shared<Numbers>(103);
  const auto probes = std::make_shared<Probes>();
  const std::vector<Tower> towers = {{.maker = probes, .views = 3}};
  const Loader plain(numbers, towers, {.batch_size = 103, .seed = 5, .workers = 0});
  const auto expected = served(plain, 4);
  REQUIRE(expected.size() == 103);
  const auto order = shuffled_order(103, 5, 4);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto index = static_cast<std::uint32_t>(order[i]);
    CHECK(expected[i][0] == static_cast<float>(index));
    CHECK(expected[i][1] == static_cast<float>(index % 10));
    for (std::uint32_t v = 0; v < 3; ++v) {
      CHECK(expected[i][2 + 3 * v] == static_cast<float>(index));
      CHECK(expected[i][3 + 3 * v] == Random(5, RandomPurpose::augmentation, index, 4, v).uniform(0));
      CHECK(expected[i][4 + 3 * v] == static_cast<float>(v));
    }
  }
  for (const int workers : {0, 1, 2, 5}) {
    for (const std::int64_t batch_size : {1, 8, 51, 103}) {
      for (const int prefetch : {1, 3}) {
        const Loader loader(
            numbers, towers,
            {.batch_size = batch_size, .drop_last = false, .seed = 5, .workers = workers, .prefetch = prefetch});
        CHECK(served(loader, 4) == expected);
      }
    }
  }
}

TEST_CASE("The last batch is dropped or smaller, and the order can be kept") {
  const auto numbers = std::make_shared<Numbers>(10);
  const auto probes = std::make_shared<Probes>();
  const int workers = GENERATE(0, 2);
  const Loader dropped(numbers, probes, {.batch_size = 4, .shuffle = false, .workers = workers});
  CHECK(dropped.batches() == 2);
  CHECK(served(dropped, 0).size() == 8);
  const Loader whole(numbers, probes, {.batch_size = 4, .shuffle = false, .drop_last = false, .workers = workers});
  CHECK(whole.batches() == 3);
  const auto rows = served(whole, 0);
  REQUIRE(rows.size() == 10);
  for (std::size_t i = 0; i < 10; ++i) CHECK(rows[i][0] == static_cast<float>(i));
  // A batch larger than the data set is fine when the last one may be smaller.
  const Loader larger(numbers, probes, {.batch_size = 64, .drop_last = false, .workers = workers});
  CHECK(larger.batches() == 1);
  CHECK(served(larger, 0).size() == 10);
}

TEST_CASE("An epoch can be gone on with at any batch") {
  const auto numbers = std::make_shared<Numbers>(10);
  const Loader loader(numbers, std::make_shared<Probes>(),
                      {.batch_size = 4, .drop_last = false, .workers = GENERATE(0, 2)});
  const auto whole = served(loader, 3);
  for (const std::int64_t first : {0, 1, 2, 3}) {
    const std::vector<std::vector<float>> rest(whole.begin() + std::min<std::int64_t>(4 * first, 10), whole.end());
    CHECK(served(loader, 3, first) == rest);
  }
  CHECK_THROWS_WITH(loader.epoch(3, 4), "loader: batch 4 of an epoch of 3");
  CHECK_THROWS_WITH(loader.epoch(3, -1), "loader: batch -1 of an epoch of 3");
}

TEST_CASE("A batch outlives the loop that made it") {
  const auto numbers = std::make_shared<Numbers>(12);
  std::vector<Tensor> kept;
  {
    const Loader loader(numbers, std::make_shared<Probes>(), {.batch_size = 3, .shuffle = false});
    for (const Batch& batch : loader.epoch(0)) kept.push_back(batch.towers[0].x);
  }
  REQUIRE(kept.size() == 4);
  for (std::size_t k = 0; k < 4; ++k) CHECK(kept[k].to_vector<float>()[0] == static_cast<float>(3 * k));
}

TEST_CASE("Unreadable samples are reported once, counted and replaced alike for any workers") {
  const auto broken = [](std::int64_t i) { return i % 7 == 3; };  // 7 of 50
  const auto probes = std::make_shared<Probes>();
  std::vector<std::vector<float>> expected;
  for (const int workers : {0, 1, 3}) {
    for (const std::int64_t batch_size : {10, 50}) {
      std::vector<std::string> warnings;
      const Loader loader(std::make_shared<Numbers>(50, broken), probes,
                          {.batch_size = batch_size, .workers = workers, .on_warning = [&](const std::string& message) {
                             warnings.push_back(message);
                           }});
      const auto rows = served(loader, 0);
      if (expected.empty()) expected = rows;
      CHECK(rows == expected);
      REQUIRE(rows.size() == 50);
      for (const auto& row : rows) {
        CHECK_FALSE(broken(static_cast<std::int64_t>(row[0])));
        CHECK(row[1] == static_cast<float>(static_cast<int>(row[0]) % 10));
        CHECK(row[2] == row[0]);
      }
      served(loader, 1);
      CHECK(loader.skipped() == 7);
      CHECK(std::set<std::string>(warnings.begin(), warnings.end()).size() == 7);
      REQUIRE(warnings.size() == 7);
      CHECK_THAT(warnings[0], Contains("numbers: file") && Contains("is corrupt (sample skipped)"));
    }
  }
}

TEST_CASE("A batch tells a loss of its views and labels") {
  class PartlyLabelled : public Numbers {
   public:
    using Numbers::Numbers;
    Sample sample(std::int64_t index, int part) const override {
      Sample sample = Numbers::sample(index, part);
      if (index % 3 == 0) sample.label = -1;
      return sample;
    }
  };
  const int views = GENERATE(1, 2, 3);
  const Loader loader(std::make_shared<PartlyLabelled>(10), {{.maker = std::make_shared<Probes>(), .views = views}},
                      {.batch_size = 4, .drop_last = false});
  CHECK(Batch().views_each() == 0);
  for (const Batch& batch : loader.epoch(0)) {
    CHECK(batch.views_each() == views);
    for (const int tower : {-1, 1}) {
      CHECK(message_of([&] { batch.views_each(tower); }) == "batch: tower " + std::to_string(tower) + " of 1");
      CHECK(message_of([&] { batch.label_groups(tower); }) == "batch: tower " + std::to_string(tower) + " of 1");
    }
    const auto groups = batch.label_groups().to_vector<std::int32_t>();
    REQUIRE(static_cast<std::int64_t>(groups.size()) == views * batch.size);
    for (std::int64_t row = 0; row < views * batch.size; ++row) {
      for (std::int64_t other = 0; other < views * batch.size; ++other) {
        const auto label = [&](std::int64_t r) { return batch.labels[static_cast<std::size_t>(r % batch.size)]; };
        const bool together = label(row) >= 0 ? label(row) == label(other) : row % batch.size == other % batch.size;
        CHECK((groups[static_cast<std::size_t>(row)] == groups[static_cast<std::size_t>(other)]) == together);
      }
      CHECK(groups[static_cast<std::size_t>(row)] != -1);
    }
  }
}

TEST_CASE("A data set that is mostly unreadable ends the epoch") {
  const int workers = GENERATE(0, 1, 4);
  const bool all = GENERATE(false, true);
  const auto numbers = std::make_shared<Numbers>(40, [all](std::int64_t i) { return all || i % 4 != 0; });
  int warnings = 0;
  const Loader loader(numbers, std::make_shared<Probes>(),
                      {.batch_size = 20, .workers = workers, .on_warning = [&](const std::string&) { ++warnings; }});
  for (std::uint32_t epoch = 0; epoch < 2; ++epoch) {
    const std::string message = message_of([&] { served(loader, epoch); });
    CHECK(warnings > 20);  // they come before the error
    CHECK_THAT(message, Contains("of 40 samples cannot be read, more than half; check the data. The first: numbers"));
  }
}

TEST_CASE("Exactly half unreadable still trains") {
  const auto numbers = std::make_shared<Numbers>(20, [](std::int64_t i) { return i >= 10; });
  const Loader loader(numbers, std::make_shared<Probes>(),
                      {.batch_size = 20, .workers = GENERATE(0, 2), .on_warning = [](const std::string&) {}});
  CHECK(served(loader, 0).size() == 20);
  CHECK(loader.skipped() == 10);
}

TEST_CASE("A sample that a view maker refuses is treated as one that cannot be read") {
  const auto refuse = [](std::uint32_t id) { SIMCLR_CHECK(id != 3, "probes: two values, three are needed"); };
  const auto probes = std::make_shared<Probes>(), strict = std::make_shared<Probes>();
  strict->on_view = refuse;
  const int workers = GENERATE(0, 1, 3);
  std::vector<std::string> warnings;
  const LoaderOptions options{.batch_size = 10, .workers = workers, .on_warning = [&](const std::string& message) {
                                warnings.push_back(message);
                              }};
  const auto expected =
      served(Loader(std::make_shared<Numbers>(50, [](auto i) { return i == 3; }), probes, options), 1);
  warnings.clear();
  const Loader loader(std::make_shared<Numbers>(50), strict, options);
  CHECK(served(loader, 1) == expected);
  served(loader, 2);
  CHECK(loader.skipped() == 1);
  CHECK(warnings ==
        std::vector<std::string>{"loader: no view of sample 3: probes: two values, three are needed (sample skipped)"});

  const NextBatch next = one_pass(std::make_shared<Numbers>(7), strict, options);
  Input input;
  std::vector<std::int32_t> labels, all;
  while (next(input, labels)) all.insert(all.end(), labels.begin(), labels.end());
  CHECK(all == std::vector<std::int32_t>{0, 1, 2, 4, 5, 6});
}

TEST_CASE("What a maker refuses in one epoch does not change another") {
  struct Moody : Probes {
    std::int32_t make_view(const Sample& sample, const ViewKey& key, std::byte* out) const override {
      SIMCLR_CHECK((key.sample + key.epoch) % 8 != 0, "moody: not now");
      return Probes::make_view(sample, key, out);
    }
  };
  const LoaderOptions options{.batch_size = 10, .workers = GENERATE(0, 2), .on_warning = [](const std::string&) {}};
  const Loader whole(std::make_shared<Numbers>(50), std::make_shared<Moody>(), options);
  for (std::uint32_t epoch = 0; epoch < 3; ++epoch) {
    const Loader resumed(std::make_shared<Numbers>(50), std::make_shared<Moody>(), options);
    CHECK(served(whole, epoch) == served(resumed, epoch));
  }
}

TEST_CASE("A maker that refuses every sample ends the epoch") {
  const auto probes = std::make_shared<Probes>();
  probes->on_view = [](std::uint32_t) { fail("probes: too short"); };
  const Loader loader(std::make_shared<Numbers>(40), probes,
                      {.batch_size = 20, .workers = GENERATE(0, 3), .on_warning = [](const std::string&) {}});
  const std::string message = message_of([&] { served(loader, 0); });
  CHECK_THAT(message, Contains(" of 40 samples cannot be read or used, more than half; check the data. The first: "
                               "loader: no view of sample "));
  CHECK_THAT(message, Contains(": probes: too short") && !Contains("\n"));
}

TEST_CASE("An epoch is run once") {
  const Loader loader(std::make_shared<Numbers>(8), std::make_shared<Probes>(), {.batch_size = 4});
  Epoch epoch = loader.epoch(0);
  for (const Batch& batch : epoch) CHECK(batch.size == 4);
  CHECK_THAT(message_of([&] { (void)epoch.begin(); }), Contains("has begun already; call epoch() for another pass"));
}

TEST_CASE("Impossible loader options end with one clear line") {
  const auto numbers = std::make_shared<Numbers>(10);
  const auto probes = std::make_shared<Probes>();
  const auto error = [&](const LoaderOptions& options) {
    return message_of([&] { Loader(numbers, probes, options); });
  };
  CHECK_THAT(error({.batch_size = 0}), Contains("loader: batch_size 0, at least 1 is needed"));
  CHECK_THAT(error({.batch_size = 11}),
             Contains("batch_size 11, but only 10 samples: lower batch_size or turn drop_last off"));
  CHECK_THAT(message_of([&] { Loader(numbers, {{.maker = probes, .views = 0}}, {.batch_size = 5}); }),
             Contains("loader: views 0"));
  CHECK_THAT(error({.batch_size = 5, .workers = -1}), Contains("loader: workers -1"));
  CHECK_THAT(error({.batch_size = 5, .prefetch = 0}), Contains("loader: prefetch 0"));
  CHECK_THAT(message_of([&] { Loader(nullptr, probes); }), Contains("a data set and a view maker are needed"));
  CHECK_THAT(message_of([&] { Loader(std::make_shared<Numbers>(0), probes); }), Contains("the data set is empty"));
}

TEST_CASE("Picture views are the augmentation of the sample's id, for any workers and batch size") {
  std::vector<std::uint8_t> bytes;
  for (std::uint32_t i = 0; i < 9; ++i) {
    const Random random(3, RandomPurpose::user, i);
    for (std::uint32_t p = 0; p < 360; ++p) bytes.push_back(static_cast<std::uint8_t>(random.bits(p)));
  }
  const kernels::AugmentPolicy policy{
      .size = 8, .brightness = 0.4f, .contrast = 0.4f, .saturation = 0.4f, .hue = 0.1f, .blur_probability = 0.5f};
  const auto views = std::make_shared<PictureViews>(policy);
  CHECK(views->view_shape() == Shape{8, 8, 3});
  const std::shared_ptr<const Dataset> set = memory_dataset({.samples = Tensor::from(bytes, {9, 12, 10, 3}),
                                                             .labels = std::vector<std::int32_t>(9),
                                                             .classes = {"a"},
                                                             .description = "pictures"});
  const std::size_t numel = 8 * 8 * 3;
  for (const int workers : {0, 2}) {
    for (const std::int64_t batch_size : {2, 9}) {
      const Loader loader(set, views, {.batch_size = batch_size, .drop_last = false, .seed = 11, .workers = workers});
      for (const Batch& batch : loader.epoch(6)) {
        REQUIRE(batch.towers[0].x.shape() == Shape{2 * batch.size, 8, 8, 3});
        const auto values = batch.towers[0].x.to_vector<float>();
        for (std::int64_t i = 0; i < batch.size; ++i) {
          const std::int64_t index = batch.indices[static_cast<std::size_t>(i)];
          const auto id = static_cast<std::uint32_t>(index);
          for (std::uint32_t v = 0; v < 2; ++v) {
            std::vector<float> expected(numel);
            const kernels::ImageRef picture{.offset = 0, .height = 12, .width = 10, .channels = 3, .sample = id};
            kernels::augment_picture(bytes.data() + index * 360, picture, policy,
                                     kernels::draw_augment_parameters(policy, 12, 10, 11, id, 6, v), expected.data());
            const auto first = values.begin() + (v * batch.size + i) * static_cast<std::int64_t>(numel);
            CHECK(std::equal(expected.begin(), expected.end(), first));
          }
        }
      }
    }
  }
}

TEST_CASE("Picture views refuse what is no picture") {
  const PictureViews views(kernels::AugmentPolicy{.size = 4});
  const std::vector<std::uint8_t> bytes(64);
  std::vector<float> out(4 * 4 * 3);
  const auto error = [&](const Shape& shape) {
    const Sample sample{.bytes = std::as_bytes(std::span(bytes)), .shape = shape, .label = -1, .owner = nullptr};
    return message_of([&] { views.make_view(sample, {.sample = 7}, std::as_writable_bytes(std::span(out)).data()); });
  };
  CHECK(error({8, 8, 1}) == "no error");
  CHECK(error({4, 4, 4}) == "no error");
  CHECK_THAT(error({8, 8}), Contains("picture views: sample 7 has shape [8,8], a picture is [height,width,channels]"));
  CHECK_THAT(error({8, 4, 2}), Contains("shape [8,4,2]"));
  CHECK_THAT(error({0, 4, 3}), Contains("shape [0,4,3]"));
  CHECK_THAT(error({4, 4, 3}), Contains("sample 7 has 64 bytes, its shape [4,4,3] needs 48"));
  CHECK_THROWS_AS(PictureViews(kernels::AugmentPolicy{.size = 0}), Error);
}

TEST_CASE("One pass serves each readable sample once, in order, and leaves the others out") {
  // 3, 4 and 5 are a whole batch of their own.
  const auto broken = [](std::int64_t i) { return (i >= 3 && i <= 5) || i == 7; };
  const auto numbers = std::make_shared<Numbers>(11, broken);
  for (const int workers : {0, 2}) {
    int warnings = 0;
    const auto warn = [&](const std::string&) { ++warnings; };
    const NextBatch next =
        one_pass(numbers, std::make_shared<Probes>(), {.batch_size = 3, .workers = workers, .on_warning = warn});
    std::vector<float> bytes;
    std::vector<std::int32_t> all, labels;
    Input input;
    while (next(input, labels)) {
      REQUIRE(input.rows() == static_cast<std::int64_t>(labels.size()));
      const auto values = input.x.to_vector<float>();
      for (std::size_t i = 0; i < labels.size(); ++i) bytes.push_back(values[3 * i]);
      all.insert(all.end(), labels.begin(), labels.end());
    }
    CHECK(bytes == std::vector<float>{0, 1, 2, 6, 8, 9, 10});
    CHECK(all == std::vector<std::int32_t>{0, 1, 2, 6, 8, 9, 0});
    CHECK(warnings == 4);
  }
}
