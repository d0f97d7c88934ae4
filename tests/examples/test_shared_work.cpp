// What the ranks of a run measure together, as threads: what one process does.

#include "train/shared_work.h"

#include "run/stop_request.h"
#include "support/catch.h"
#include "support/message_of.h"
#include "support/ranks.h"
#include "support/tensors.h"
#include "train/evaluation.h"
#include "train/test_part.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <vector>

using namespace simclr;
using Catch::Matchers::Contains;
using simclr::test::of_each;
using simclr::test::same_bits;

namespace {

/// Three numbers each, of two classes; some cannot be read.
class Threes final : public data::Dataset {
 public:
  explicit Threes(std::int64_t size, std::vector<std::int64_t> unreadable = {})
      : values_(test::random_tensor({size, 3}, 1, DType::f32)), unreadable_(std::move(unreadable)) {}
  std::int64_t size() const override { return values_.dim(0); }
  data::Sample sample(std::int64_t i, int) const override {
    const bool bad = std::find(unreadable_.begin(), unreadable_.end(), i) != unreadable_.end();
    SIMCLR_CHECK(!bad, "sample ", i, " is broken");
    return {.bytes = std::as_bytes(std::span(values_.data<const float>() + 3 * i, 3)),
            .shape = {3},
            .dtype = DType::f32,
            .label = label(i),
            .owner = nullptr};
  }
  std::int32_t label(std::int64_t i) const override { return static_cast<std::int32_t>(i % 2); }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string describe() const override { return "threes"; }

 private:
  Tensor values_;
  std::vector<std::int64_t> unreadable_;
  std::vector<std::string> classes_ = {"even", "odd"};
};

class Copies final : public data::ViewMaker {
 public:
  Shape view_shape() const override { return {3}; }
  std::int32_t make_view(const data::Sample& sample, const data::ViewKey&, std::byte* out) const override {
    std::memcpy(out, sample.bytes.data(), sample.bytes.size());
    return 3;
  }
};

const data::Tower tower{.maker = std::make_shared<Copies>()};

struct Normalised : nn::Module {
  Normalised() {
    norm = add_module("bn", std::make_shared<nn::BatchNorm>(3));
    initialize(0);
  }
  Tensor forward(const Input& input) override { return (*norm)(input); }

  std::shared_ptr<nn::BatchNorm> norm;
};

/// Of a rank; `warned` has its warnings.
EvaluationOptions options_of(World& world, std::int64_t batch_size, std::set<std::string>* warned = nullptr) {
  EvaluationOptions options;
  options.batch_size = batch_size;
  options.world = &world;
  options.on_warning = [warned](const std::string& message) {
    if (warned != nullptr) warned->insert(message);
  };
  return options;
}

const std::vector<std::int64_t> broken = {0, 5, 6, 7, 20};

}  // namespace

TEST_CASE("features that ranks share are those of one process, in their order") {
  for (const std::int64_t size : {2, 9, 23}) {
    for (const std::int64_t batch_size : {1, 4, 500}) {
      const auto of = [&](World& world) {
        Normalised encoder;
        return features_of(encoder, Threes(size, size == 23 ? broken : std::vector<std::int64_t>{}), tower,
                           options_of(world, batch_size));
      };
      World alone;
      const nn::Features right = of(alone);
      for (const int ranks : {2, 3, 5}) {
        CAPTURE(size, batch_size, ranks);
        for (const nn::Features& got : of_each(ranks, of)) {
          CHECK(same_bits(got.values, right.values));
          CHECK(got.labels == right.labels);
        }
      }
    }
  }
}

TEST_CASE("each sample that cannot be read is named by a rank, and too many end all") {
  const auto warnings = of_each(3, [](World& world) {
    Normalised encoder;
    std::set<std::string> warned;
    features_of(encoder, Threes(23, broken), tower, options_of(world, 4, &warned));
    return warned;
  });
  std::set<std::string> all;
  for (const std::set<std::string>& own : warnings) all.insert(own.begin(), own.end());
  CHECK(all.size() == broken.size());
  CHECK(warnings[0] != all);
  for (const std::string& end : of_each(2, [](World& world) {
         Normalised encoder;
         return test::message_of([&] { features_of(encoder, Threes(6, {0, 1, 3, 5}), tower, options_of(world, 4)); });
       })) {
    CHECK_THAT(end, Contains("more than half; check the data"));
  }
}

TEST_CASE("an untrained encoder's statistics are those of one process") {
  for (const std::int64_t size : {3, 23, 24}) {  // fewer than a batch; with a last one that is smaller
    const auto of = [&](World& world) {
      Normalised encoder;
      calibrate(encoder, Threes(size), tower, options_of(world, 4));
      std::vector<double> values;
      for (const NamedTensor& each : encoder.state()) {
        for (const double value : each.value.to_vector<double>()) values.push_back(value);
      }
      return values;
    };
    World alone;
    const std::vector<double> right = of(alone);
    for (const int ranks : {2, 3, 4}) {
      CAPTURE(size, ranks);
      for (const std::vector<double>& got : of_each(ranks, of)) {
        REQUIRE(got.size() == right.size());
        for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i] == Approx(right[i]).margin(1e-6));
      }
    }
  }
}

TEST_CASE("statistics of shares of which no rank can read a sample are refused by all") {
  const std::vector<std::int64_t> order = data::shuffled_order(4, 0, 0);  // in which they are shared
  const auto messages = of_each(2, [&](World& world) {
    const auto first = order.begin() + 2 * world.rank();  // what stands in for its own samples is the other's
    Normalised encoder;
    return test::message_of([&] { calibrate(encoder, Threes(4, {first, first + 2}), tower, options_of(world, 2)); });
  });
  CHECK(messages == std::vector<std::string>(2, "calibrate: no rank can read a sample of its share; check the data"));
}

TEST_CASE("kNN's scores and the test samples that can be read are those of one process") {
  const auto of = [](World& world) {
    const EvaluationOptions options = options_of(world, 4);
    Normalised encoder;
    const nn::Features train = features_of(encoder, Threes(23), tower, options);
    const auto part = readable_part(std::make_shared<Threes>(23, broken), options.on_warning, {}, options.world);
    return std::pair(knn_scores(train, train.values.narrow(0, 7), 2, options), part->size());
  };
  World alone;
  const auto right = of(alone);
  CHECK(right.second == 18);
  for (const int ranks : {2, 9}) {  // 9: more than there are rows
    for (const auto& [scores, readable] : of_each(ranks, of)) {
      CHECK(same_bits(scores, right.first));
      CHECK(readable == 18);
    }
  }
}

TEST_CASE("what stops or fails on one rank does on all") {
  const auto ends = of_each(3, [](World& world) -> std::string {
    EvaluationOptions options = options_of(world, 2);
    if (world.rank() == 1) options.poll = [] { throw Stopped{}; };
    Normalised encoder;
    try {
      features_of(encoder, Threes(23), tower, options);
    } catch (const Stopped&) {
      return "stopped";
    }
    return "not stopped";
  });
  CHECK(ends == std::vector<std::string>(3, "stopped"));
  const auto said = [](const std::function<std::string(int)>& problem) {
    return of_each(3, [&](World& world) {
      return test::message_of([&] {
        together(&world, [&] {
          const std::string text = problem(world.rank());
          SIMCLR_CHECK(text.empty(), text);
        });
      });
    });
  };
  CHECK(said([](int) { return "a wrong option"; }) == std::vector<std::string>(3, "a wrong option"));
  CHECK(said([](int rank) { return rank == 2 ? "no file" : ""; }) == std::vector<std::string>(3, "rank 2: no file"));
  CHECK(said([](int rank) { return rank == 0 ? "no disk" : "no file"; })[2] == "rank 0: no disk; rank 1: no file");
  World alone;
  CHECK_THROWS_AS(together(&alone, [] { simclr::fail<data::UnreadableData>("as it is"); }), data::UnreadableData);
}

TEST_CASE("what one rank meets alone between two passes is no warning: the others wait for it") {
  const auto measure = [](World& world) {
    Normalised encoder;
    const EvaluationOptions options = options_of(world, 4);
    return problem_of(&world, [&] {
      features_of(encoder, Threes(9), tower, options);
      SIMCLR_CHECK(world.rank() == 0, "no memory");
      features_of(encoder, Threes(9), tower, options);
    });
  };
  CHECK(test::message_of([&] { of_threads(2, measure); }) == "no memory");
  const auto of_all = [](World& world) {
    return problem_of(&world, [&] { together(&world, [] { simclr::fail("a wrong option"); }); });
  };
  CHECK(of_each(2, of_all) == std::vector<std::string>(2, "a wrong option"));
  World alone;
  CHECK(problem_of(&alone, [] { simclr::fail("no memory"); }) == "no memory");
}

TEST_CASE("rows of ranks are gathered by rank, of whom has some") {
  const auto rows_of = [](int rank) { return test::random_tensor({rank * 2, 5}, 10, DType::f32); };
  for (const Tensor& all : of_each(3, [&](World& world) {
         return gather_rows(&world, world.rank() == 0 ? Tensor() : rows_of(world.rank()));
       })) {
    CHECK(same_bits(all.narrow(0, 2), rows_of(1)));
    CHECK(same_bits(all.narrow(2, 4), rows_of(2)));
  }
}

TEST_CASE("rows of more than 64 MiB are gathered piece by piece") {
  constexpr std::int64_t width = 17 << 18;  // 17 MiB, so that a piece is a row of each
  const auto got = of_each(2, [&](World& world) {
    const Tensor own = Tensor::empty({2 - world.rank(), width});
    for (std::int64_t i = 0; i < own.dim(0); ++i) own.narrow(i, 1).fill(static_cast<double>(10 * world.rank() + i));
    const std::int64_t before = world.traffic().messages;
    const Tensor all = gather_rows(&world, own);
    std::vector<float> ends = {static_cast<float>(world.traffic().messages - before)};
    for (std::int64_t i = 0; i < all.dim(0); ++i) {
      for (const std::int64_t column : {std::int64_t{0}, width - 1}) {
        ends.push_back(all.data<float>()[i * width + column]);
      }
    }
    return ends;
  });
  // Four messages of the counts and the widths, one of each piece; then both ends of rank 0's rows and of rank 1's.
  CHECK(got == std::vector(2, std::vector<float>{4 + 2, 0, 0, 1, 1, 10, 10}));
}
