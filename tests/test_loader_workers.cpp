// The loader's workers: what they throw, early ends, the prefetch.

#include <simclr/core/parallel.h>
#include <simclr/data/loader.h>

#include "support/catch.h"
#include "support/numbers.h"

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

using namespace simclr;
using namespace simclr::data;

TEST_CASE("What a worker throws reaches the consumer") {
  const auto probes = std::make_shared<Probes>();
  probes->on_view = [](std::uint32_t id) {
    if (id == 17) throw std::runtime_error("boom");
  };
  const Loader loader(std::make_shared<Numbers>(32), probes, {.batch_size = 8, .workers = GENERATE(0, 1, 3)});
  CHECK_THROWS_WITH(served(loader, 0), "boom");
  CHECK_THROWS_WITH(served(loader, 1), "boom");  // and the loader can be used again
}

TEST_CASE("Leaving an epoch early stops the workers within a sample") {
  const auto numbers = std::make_shared<Numbers>(200);
  const auto probes = std::make_shared<Probes>();
  std::atomic<int> made = 0;
  probes->on_view = [&](std::uint32_t) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ++made;
  };
  const Loader loader(numbers, probes, {.batch_size = 100, .workers = 2, .prefetch = 2});
  for (const Batch& batch : loader.epoch(0)) {
    CHECK(batch.size == 100);
    break;
  }
  CHECK(made < 300);  // of 400: the second batch was not finished
  const int after = made;
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  CHECK(made == after);
  { const Epoch untouched = loader.epoch(1); }  // never begun
  CHECK(made == after);
}

TEST_CASE("Workers stay within the prefetch") {
  const auto numbers = std::make_shared<Numbers>(100);
  const Loader loader(numbers, std::make_shared<Probes>(), {.batch_size = 10, .workers = 2, .prefetch = 3});
  int taken = 0;
  for (const Batch& batch : loader.epoch(0)) {
    CHECK(batch.size == 10);
    ++taken;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    CHECK(numbers->reads <= 10 * (taken + 3));
  }
  CHECK(taken == 10);
  CHECK(numbers->reads == 100);
}

TEST_CASE("Unless workers are asked for, a batch is made when it is taken") {
  const auto numbers = std::make_shared<Numbers>(30);
  const Loader loader(numbers, std::make_shared<Probes>(), {.batch_size = 10});
  CHECK(loader.options().workers == 0);
  int taken = 0;
  for (const Batch& batch : loader.epoch(0)) {
    CHECK(batch.size == 10);
    ++taken;
    CHECK(numbers->reads == 10 * taken);
  }
  CHECK(taken == 3);
}

TEST_CASE("Workers compute serially") {
  const auto probes = std::make_shared<Probes>();
  std::atomic<int> pieces = 0, elsewhere = 0;
  probes->on_view = [&](std::uint32_t) {
    const std::thread::id worker = std::this_thread::get_id();
    parallel_for(64, 1, [&](std::int64_t, std::int64_t) {
      ++pieces;
      if (std::this_thread::get_id() != worker) ++elsewhere;
    });
  };
  const Loader loader(std::make_shared<Numbers>(16), probes, {.batch_size = 16, .workers = 2});
  served(loader, 0);
  CHECK(pieces == 32 * 64);  // of 32 views
  CHECK(elsewhere == 0);
}
