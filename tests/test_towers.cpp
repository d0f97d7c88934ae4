// Several towers in a batch: parts of a sample, dtypes, lengths, keys, and what cannot be read.

#include <simclr/core/error.h>
#include <simclr/data/decoded_cache.h>
#include <simclr/data/loader.h>
#include <simclr/data/subset.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/temp_dir.h"

#include <atomic>
#include <functional>
#include <set>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using Catch::Matchers::Contains;
using simclr::test::message_of;

namespace {

constexpr std::int32_t longest = 6;

std::int32_t length_of(std::int64_t i) {
  return static_cast<std::int32_t>(1 + i % longest);
}

/// Sample i: part 0 is the u16 number 1000 + i, part 1 the ids 70000 + 10 i + 0, 1, ... of length_of(i), of i32.
class Pairs : public Dataset {
 public:
  explicit Pairs(std::int64_t size, std::function<bool(std::int64_t, int)> broken = {})
      : size_(size), broken_(std::move(broken)) {}

  std::int64_t size() const override { return size_; }
  int parts() const override { return 2; }
  Sample sample(std::int64_t i, int part) const override {
    ++reads;
    SIMCLR_CHECK(!broken_ || !broken_(i, part), "pairs: part ", part, " of ", i, " is corrupt");
    if (part == 0) {
      const auto number = std::make_shared<std::uint16_t>(static_cast<std::uint16_t>(1000 + i));
      return {.bytes = std::as_bytes(std::span(number.get(), 1)), .shape = {1}, .dtype = DType::u16, .owner = number};
    }
    const auto ids = std::make_shared<std::vector<std::int32_t>>();
    for (std::int32_t k = 0; k < length_of(i); ++k) ids->push_back(static_cast<std::int32_t>(70000 + 10 * i + k));
    return {.bytes = std::as_bytes(std::span(*ids)), .shape = {length_of(i)}, .dtype = DType::i32, .owner = ids};
  }
  std::int32_t label(std::int64_t) const override { return -1; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string describe() const override { return "pairs"; }

  mutable std::atomic<int> reads = 0;

 private:
  std::int64_t size_;
  std::function<bool(std::int64_t, int)> broken_;
  std::vector<std::string> classes_;
};

/// [number, epoch, view] of part 0.
class Numbers : public ViewMaker {
 public:
  Shape view_shape() const override { return {3}; }
  std::int32_t make_view(const Sample& sample, const ViewKey& key, std::byte* out) const override {
    auto* values = reinterpret_cast<float*>(out);
    values[0] = sample.values<std::uint16_t>()[0];
    values[1] = static_cast<float>(key.epoch);
    values[2] = static_cast<float>(key.view);
    return 3;
  }
};

/// The ids of part 1, two columns each: the id and the view. `full`: repeated to the longest.
class Ids : public ViewMaker {
 public:
  explicit Ids(bool full = false) : full_(full) {}
  Shape view_shape() const override { return {longest, 2}; }
  DType view_dtype() const override { return DType::i32; }
  std::int32_t make_view(const Sample& sample, const ViewKey& key, std::byte* out) const override {
    const auto ids = sample.values<std::int32_t>();
    const std::int32_t length = full_ ? longest : static_cast<std::int32_t>(ids.size());
    auto* values = reinterpret_cast<std::int32_t*>(out);
    for (std::size_t k = 0; k < static_cast<std::size_t>(length); ++k) {
      values[2 * k] = ids[k % ids.size()];
      values[2 * k + 1] = static_cast<std::int32_t>(key.view);
    }
    return length;
  }

 private:
  bool full_;
};

std::vector<Tower> both() {
  return {{.maker = std::make_shared<Numbers>(), .views = 2, .part = 0},
          {.maker = std::make_shared<Ids>(), .views = 1, .part = 1}};
}

/// Checks that every row of both towers is its sample's and key's.
void check_rows(const Batch& batch, std::uint32_t epoch) {
  REQUIRE(batch.towers.size() == 2);
  const Input &numbers = batch.towers[0], &ids = batch.towers[1];
  REQUIRE(numbers.x.shape() == Shape{2 * batch.size, 3});
  REQUIRE(ids.x.shape() == Shape{batch.size, longest, 2});
  CHECK(numbers.x.dtype() == DType::f32);
  CHECK(ids.x.dtype() == DType::i32);
  CHECK(batch.views_each(0) == 2);
  CHECK(batch.views_each(1) == 1);
  CHECK(batch.label_groups(1).dim(0) == batch.size);
  CHECK_FALSE(numbers.lengths.defined());
  REQUIRE(ids.lengths.defined());
  const auto x = numbers.x.to_vector<float>();
  const auto tokens = ids.x.to_vector<std::int32_t>(), lengths = ids.lengths.to_vector<std::int32_t>();
  const auto first_keys = numbers.keys.to_vector<std::int32_t>(), second_keys = ids.keys.to_vector<std::int32_t>();
  for (std::int64_t i = 0; i < batch.size; ++i) {
    const std::int64_t index = batch.indices[static_cast<std::size_t>(i)];
    const auto key = [&](const std::vector<std::int32_t>& keys, std::int64_t row) {
      const auto at = keys.begin() + 3 * row;
      return std::vector<std::int32_t>(at, at + 3);
    };
    for (std::int32_t v = 0; v < 2; ++v) {
      const std::int64_t row = v * batch.size + i;
      const auto at = static_cast<std::size_t>(3 * row);
      CHECK(x[at] == static_cast<float>(1000 + index));
      CHECK(x[at + 1] == static_cast<float>(epoch));
      CHECK(x[at + 2] == static_cast<float>(v));
      CHECK(key(first_keys, row) ==
            std::vector<std::int32_t>{static_cast<std::int32_t>(index), static_cast<std::int32_t>(epoch), v});
    }
    CHECK(key(second_keys, i) ==
          std::vector<std::int32_t>{static_cast<std::int32_t>(index), static_cast<std::int32_t>(epoch), 2});
    const std::int32_t length = lengths[static_cast<std::size_t>(i)];
    CHECK(length == length_of(index));
    for (std::int32_t k = 0; k < longest; ++k) {
      const auto at = static_cast<std::size_t>(2 * (i * longest + k));
      CHECK(tokens[at] == (k < length ? 70000 + 10 * index + k : 0));
      CHECK(tokens[at + 1] == (k < length ? 2 : 0));  // the third view of all towers
    }
  }
}

}  // namespace

TEST_CASE("Towers are of their part, dtype and length, with zeros behind and keys for each row") {
  const int workers = GENERATE(0, 2);
  const auto pairs = std::make_shared<Pairs>(20);
  const Loader loader(pairs, both(), {.batch_size = 6, .drop_last = false, .workers = workers});
  CHECK(loader.towers().size() == 2);
  for (std::uint32_t epoch : {0u, 3u}) {
    // Memory that was used before is not zero by itself.
    Tensor::full({20, longest, 2}, 7, DType::i32);
    std::set<std::int64_t> seen;
    for (const Batch& batch : loader.epoch(epoch)) {
      check_rows(batch, epoch);
      seen.insert(batch.indices.begin(), batch.indices.end());
    }
    CHECK(seen.size() == 20);
  }
}

namespace {

/// Three captions of each thing.
class Captioned final : public Pairs {
 public:
  explicit Captioned(std::int64_t size) : Pairs(size, [](std::int64_t i, int) { return i == 4; }) {
    for (std::int64_t i = 0; i < size; ++i) groups_.push_back(static_cast<std::int32_t>(100 + i / 3));
  }
  const std::vector<std::int32_t>& groups() const override { return groups_; }

 private:
  std::vector<std::int32_t> groups_;
};

}  // namespace

TEST_CASE("Groups come with each row of all towers, through a subset and a cache, and those of a replacement are its") {
  std::vector<std::int64_t> odd;
  for (std::int64_t i = 0; i < 20; ++i) odd.push_back(19 - i);
  const auto quiet = [](const std::string&) {};
  const auto samples = std::make_shared<DecodedCache>(subset(std::make_shared<Captioned>(20), odd));
  REQUIRE(samples->groups().size() == 20);
  for (const int workers : {0, 2}) {
    const Loader loader(samples, both(), {.batch_size = 10, .workers = workers, .on_warning = quiet});
    for (const Batch& batch : loader.epoch(0)) {
      for (const Input& input : batch.towers) {
        REQUIRE(input.groups.shape() == Shape{input.rows()});
        const auto groups = input.groups.to_vector<std::int32_t>();
        for (std::int64_t row = 0; row < input.rows(); ++row) {
          const std::int64_t index = batch.indices[static_cast<std::size_t>(row % batch.size)];
          CHECK(groups[static_cast<std::size_t>(row)] == 100 + (19 - index) / 3);
        }
      }
    }
  }
  // What a pass leaves out leaves its group out.
  const NextBatch next = one_pass(samples, std::make_shared<Ids>(), {.batch_size = 20, .on_warning = quiet}, 1);
  Input input;
  std::vector<std::int32_t> labels;
  REQUIRE(next(input, labels));
  CHECK(input.groups.shape() == Shape{19});
  for (const Batch& batch : Loader(std::make_shared<Pairs>(20), both(), {.batch_size = 10}).epoch(0)) {
    CHECK_FALSE(batch.towers[0].groups.defined());
  }
}

TEST_CASE("A part is read once a sample, whatever towers want it, and no part that none wants") {
  const auto pairs = std::make_shared<Pairs>(8);
  const auto ids = std::make_shared<Ids>();
  const Loader loader(pairs, {{.maker = ids, .views = 3, .part = 1}, {.maker = ids, .views = 1, .part = 1}},
                      {.batch_size = 8});
  for (const Batch& batch : loader.epoch(0)) CHECK(batch.views_each(0) == 3);
  CHECK(pairs->reads == 8);
}

TEST_CASE("A sample of which one part cannot be read is replaced in all towers alike") {
  const auto broken = [](std::int64_t i, int part) { return i % 5 == part; };
  std::vector<std::int64_t> expected;
  for (const int workers : {0, 3}) {
    int warnings = 0;
    const Loader loader(std::make_shared<Pairs>(30, broken), both(),
                        {.batch_size = 10, .workers = workers, .on_warning = [&](const std::string&) { ++warnings; }});
    std::vector<std::int64_t> served;
    for (const Batch& batch : loader.epoch(1)) {
      check_rows(batch, 1);
      for (const std::int64_t index : batch.indices) {
        CHECK(index % 5 > 1);
        served.push_back(index);
      }
    }
    if (expected.empty()) expected = served;
    CHECK(served == expected);
    CHECK(loader.skipped() == 12);
    CHECK(warnings == 12);
  }
}

TEST_CASE("A sample that one tower's maker refuses is replaced in all towers alike") {
  struct Strict : Ids {
    std::int32_t make_view(const Sample& sample, const ViewKey& key, std::byte* out) const override {
      SIMCLR_CHECK(key.sample % 5 != 3, "ids: an empty caption");
      return Ids::make_view(sample, key, out);
    }
  };
  const std::vector<Tower> strict = {both()[0], {.maker = std::make_shared<Strict>(), .views = 1, .part = 1}};
  const LoaderOptions options{.batch_size = 10, .workers = GENERATE(0, 3), .on_warning = [](const std::string&) {}};
  const auto broken = [](std::int64_t i, int) { return i % 5 == 3; };
  std::vector<std::int64_t> served, expected;
  const Loader refused(std::make_shared<Pairs>(30), strict, options),
      unreadable(std::make_shared<Pairs>(30, broken), both(), options);
  for (const Batch& batch : refused.epoch(1)) {
    check_rows(batch, 1);
    served.insert(served.end(), batch.indices.begin(), batch.indices.end());
  }
  for (const Batch& batch : unreadable.epoch(1)) {
    expected.insert(expected.end(), batch.indices.begin(), batch.indices.end());
  }
  CHECK(served == expected);
  CHECK(refused.skipped() == 6);
}

TEST_CASE("Lengths are undefined where all views are full") {
  const Loader loader(std::make_shared<Pairs>(8), {{.maker = std::make_shared<Ids>(true), .views = 2, .part = 1}},
                      {.batch_size = 4});
  for (const Batch& batch : loader.epoch(0)) {
    CHECK_FALSE(batch.towers[0].lengths.defined());
    CHECK(batch.towers[0].keys.shape() == Shape{8, 3});
  }
}

TEST_CASE("One pass serves a part with its lengths and keys, and leaves out what cannot be read") {
  const auto pairs = std::make_shared<Pairs>(10, [](std::int64_t i, int part) { return i == 4 && part == 1; });
  const NextBatch next = one_pass(pairs, std::make_shared<Ids>(), {.batch_size = 3, .on_warning = [](auto&) {}}, 1);
  Input input;
  std::vector<std::int32_t> labels, samples, lengths;
  while (next(input, labels)) {
    const auto keys = input.keys.to_vector<std::int32_t>(), own = input.lengths.to_vector<std::int32_t>();
    CHECK(input.x.dtype() == DType::i32);
    for (std::size_t i = 0; i < labels.size(); ++i) samples.push_back(keys[3 * i]);
    lengths.insert(lengths.end(), own.begin(), own.end());
  }
  CHECK(samples == std::vector<std::int32_t>{0, 1, 2, 3, 5, 6, 7, 8, 9});
  CHECK(lengths == std::vector<std::int32_t>{1, 2, 3, 4, 6, 1, 2, 3, 4});
}

TEST_CASE("Towers and views that do not fit end with one clear line") {
  struct Short : Numbers {
    std::int32_t wrong = 0;
    std::int32_t make_view(const Sample&, const ViewKey&, std::byte*) const override { return wrong; }
  };
  struct Half : Numbers {
    DType view_dtype() const override { return DType::bf16; }
  };
  struct Scalar : Numbers {
    Shape view_shape() const override { return {}; }
  };
  const auto pairs = std::make_shared<Pairs>(4);
  const auto error = [&](const std::vector<Tower>& towers) {
    return message_of([&] {
      const Loader loader(pairs, towers, {.batch_size = 4});
      for (const Batch& batch : loader.epoch(0)) (void)batch;
    });
  };
  const auto maker = std::make_shared<Short>();
  CHECK_THAT(error({{.maker = maker}}), Contains("is 0 long; its maker's views [3] are 1 to 3"));
  maker->wrong = 4;
  CHECK_THAT(error({{.maker = maker}}), Contains("is 4 long; its maker's views [3] are 1 to 3"));
  CHECK_THAT(error({{.maker = maker, .part = 2}}), Contains("loader: part 2 of samples that have 2: pairs"));
  CHECK_THAT(error({{.maker = std::make_shared<Half>()}}), Contains("loader: views of bf16"));
  CHECK_THAT(error({{.maker = std::make_shared<Scalar>()}}), Contains("loader: views of shape []"));
  CHECK_THAT(error({{.maker = nullptr}}), Contains("a data set and a view maker are needed"));
  CHECK_THAT(error({}), Contains("a data set and a view maker are needed"));
  CHECK_THAT(message_of([&] { (void)pairs->sample(0, 1).values<std::uint8_t>(); }),
             Contains("sample: holds i32 values, not u8"));
}

TEST_CASE("Caches and subsets keep parts and dtypes") {
  const test::TempDir dir;
  const auto pairs = std::make_shared<Pairs>(12);
  for (const std::int64_t memory : {1000, 0}) {
    const auto cache =
        std::make_shared<DecodedCache>(pairs, DecodedCacheOptions{.memory_bytes = memory, .spill_folder = dir.path()});
    pairs->reads = 0;
    for (int pass = 0; pass < 2; ++pass) {
      for (std::int64_t i = 0; i < 12; ++i) {
        CHECK(cache->sample(i, 0).values<std::uint16_t>()[0] == 1000 + i);
        const Sample ids = cache->sample(i, 1);
        REQUIRE(ids.values<std::int32_t>().size() == static_cast<std::size_t>(length_of(i)));
        CHECK(ids.values<std::int32_t>().back() == 70000 + 10 * i + length_of(i) - 1);
      }
    }
    CHECK(pairs->reads == 24);
    CHECK_THAT(message_of([&] { (void)cache->sample(0, 2); }), Contains("decoded cache: part 2 of 2"));
    const auto some = subset(cache, {7, 3});
    CHECK(some->parts() == 2);
    CHECK(some->sample(1, 1).values<std::int32_t>()[0] == 70030);
  }
}

TEST_CASE("memory_dataset serves any dtype") {
  const std::vector<std::int32_t> ids = {5, 6, 70000, 8, 9, 10};
  const auto set = memory_dataset(
      {.samples = Tensor::from(ids, {2, 3}), .labels = {-1, -1}, .classes = {}, .description = "two sentences"});
  CHECK(set->sample(1).dtype == DType::i32);
  CHECK(set->sample(0).values<std::int32_t>()[2] == 70000);
  CHECK(set->sample(1).shape == Shape{3});
}
