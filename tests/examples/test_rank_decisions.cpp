// What the processes of a run decide together, as threads.

#include "train/ranks.h"

#include "run/stop_request.h"
#include "support/catch.h"
#include "support/message_of.h"
#include "support/ranks.h"
#include "support/tensors.h"
#include "train/nonfinite.h"

#include <memory>
#include <string>
#include <vector>

using namespace simclr;

namespace {

/// A run of which there is nothing but its ranks.
Training ranks_alone(World& world) {
  Training t;
  t.world = {std::shared_ptr<void>(), &world};  // borrowed
  return t;
}

/// One batch of random pictures an epoch, or none where it cannot be read.
class OneBatch : public ViewSource {
 public:
  explicit OneBatch(bool readable) : readable_(readable) {}
  std::int64_t batches() const override { return 1; }
  void begin(std::uint32_t, std::int64_t) override {}
  bool next() override {
    SIMCLR_CHECK(readable_, "the disk has gone");
    return true;
  }
  std::vector<Input> towers() override { return {test::random_tensor({4, 5, 4, 3}, 1, DType::f32)}; }
  std::vector<std::int64_t> skipped() const override { return {}; }
  std::string where() const override { return "here"; }

 private:
  bool readable_;
};

}  // namespace

TEST_CASE("What one rank asks for is asked of all") {
  CHECK(test::of_each(3, [](World& world) {
          return greatest_of_ranks(world, world.rank() == 1 ? 7 : -world.rank());
        }) == std::vector<int>{7, 7, 7});
  World alone;
  CHECK(greatest_of_ranks(alone, -4) == -4);
}

TEST_CASE("What several ranks have met is counted once") {
  const auto count = [](World& world) {
    const std::vector<std::vector<std::int64_t>> met = {{1, 5, std::int64_t{1} << 40}, {}, {0, 5}};
    return count_of_ranks(world, met[static_cast<std::size_t>(world.rank())]);
  };
  CHECK(test::of_each(3, count) == std::vector<std::int64_t>{4, 4, 4});
  CHECK(test::of_each(2, [](World& world) { return count_of_ranks(world, {}); }) == std::vector<std::int64_t>{0, 0});
  World alone;
  CHECK(count_of_ranks(alone, {3, 4}) == 2);
}

TEST_CASE("What the first rank does alone, the others wait for, and stop where it stops") {
  for (const bool stops : {false, true}) {
    const auto body = [&](World& world) {
      const Training t = ranks_alone(world);
      int done = 0;
      try {
        on_first_rank(t, [&] {
          ++done;
          if (stops) throw Stopped{};
        });
      } catch (const Stopped&) {
        done += 10;
      }
      return done;
    };
    CHECK(test::of_each(3, body) == (stops ? std::vector<int>{11, 10, 10} : std::vector<int>{1, 0, 0}));
  }
  CHECK(test::message_of([] {
          of_threads(2, [](World& world) { on_first_rank(ranks_alone(world), [] { fail("the disk is full"); }); });
        }) == "the disk is full");
}

TEST_CASE("A rank that cannot look for a NaN ends the run, in the middle of which the others look for it") {
  const auto body = [](World& world) {
    Training t = ranks_alone(world);
    t.model = std::make_unique<nn::SimCLR>(
        nn::SimCLROptions{.encoder = std::make_shared<test::SmallEncoder>(), .head = {.hidden = 8, .out = 8}});
    t.model->set_world(&world);
    t.source = std::make_unique<OneBatch>(world.rank() == 0);
    explain_nonfinite(t, 0);
  };
  CHECK(test::message_of([&] { of_threads(2, body); }) ==
        "NaN or Inf at epoch 1, step 1: the layer is not known (the disk has gone)");
}
