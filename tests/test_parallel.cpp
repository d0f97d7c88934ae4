#include <simclr/core/error.h>
#include <simclr/core/parallel.h>

#include "support/catch.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

using namespace simclr;

namespace {

/// The thread count, as it was before, when it ends.
class ThreadsScope {
 public:
  explicit ThreadsScope(int count) { set_threads(count); }
  ~ThreadsScope() { set_threads(before_); }
  ThreadsScope(const ThreadsScope&) = delete;
  ThreadsScope& operator=(const ThreadsScope&) = delete;

 private:
  int before_ = threads();
};

/// Waits for a condition; false where it does not come in a time that only a fault takes.
bool comes(const std::function<bool()>& condition) {
  for (int i = 0; i < 20000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

/// The threads that a loop of eight pieces runs on, where each piece waits until `wanted` of them are there.
std::size_t threads_used(std::size_t wanted) {
  std::mutex mutex;
  std::set<std::thread::id> ids;
  parallel_for(8, 1, [&](std::int64_t, std::int64_t) {
    {
      const std::lock_guard lock(mutex);
      ids.insert(std::this_thread::get_id());
    }
    comes([&] {
      const std::lock_guard lock(mutex);
      return ids.size() >= wanted;
    });
  });
  return ids.size();
}

}  // namespace

TEST_CASE("parallel_for covers every index once, in pieces that do not depend on the threads") {
  for (const int count : {1, 2, 3, 8}) {
    const ThreadsScope scope(count);
    CHECK(threads() == count);
    for (const std::int64_t n : {0, 1, 2, 31, 33, 1003, 100000}) {
      for (const std::int64_t grain : {1, 32, 5000, 1 << 20}) {
        CAPTURE(count, n, grain);
        std::vector<std::atomic<int>> seen(static_cast<std::size_t>(n));
        std::atomic<std::int64_t> pieces = 0, odd = 0, strangers = 0;
        parallel_for(n, grain, [&](std::int64_t begin, std::int64_t end, int thread) {
          ++pieces;
          if (begin % grain != 0 || end != std::min(n, begin + grain)) ++odd;
          if (thread < 0 || thread >= count) ++strangers;
          for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
        });
        CHECK(std::all_of(seen.begin(), seen.end(), [](const auto& times) { return times == 1; }));
        CHECK(pieces == (n + grain - 1) / grain);
        CHECK(odd == 0);
        CHECK(strangers == 0);
      }
    }
  }
  CHECK_THROWS_WITH(set_threads(0), Catch::Contains("at least 1"));
  const ThreadsScope scope(most_threads + 1);
  CHECK(threads() == most_threads);
}

TEST_CASE("parallel_for uses several threads, except inside itself and in a SerialScope") {
  const ThreadsScope scope(3);
  CHECK(threads_used(3) == 3);
  {
    const SerialScope serial;
    CHECK(threads_used(1) == 1);
    {
      const SerialScope inner;
      CHECK(threads_used(1) == 1);
    }
    CHECK(threads_used(1) == 1);
  }
  CHECK(threads_used(3) == 3);
  std::atomic<std::size_t> nested = 0;
  parallel_for(4, 1, [&](std::int64_t, std::int64_t) { nested += threads_used(1); });
  CHECK(nested == 4);
  std::thread([&] {
    const SerialScope serial;  // another thread's scope does not reach this one
    CHECK(threads_used(1) == 1);
  }).join();
  CHECK(threads_used(3) == 3);
}

TEST_CASE("a thread that is put aside delays a loop by its piece, not by its share") {
  const ThreadsScope scope(2);
  constexpr std::int64_t pieces = 64;
  std::atomic<std::int64_t> done = 0;
  std::atomic<bool> aside = false, came = true;
  const std::thread::id caller = std::this_thread::get_id();
  parallel_for(pieces, 1, [&](std::int64_t, std::int64_t) {
    if (std::this_thread::get_id() != caller && !aside.exchange(true)) {
      came = comes([&] { return done == pieces - 1; });  // all the others, those of this thread's own share too
    } else if (!aside) {
      comes([&] { return aside.load(); });
    }
    ++done;
  });
  CHECK(aside);
  CHECK(came);
  CHECK(done == pieces);
}

TEST_CASE("loops in loops, beside loops and after a fork end and cover all") {
  const ThreadsScope scope(2);
  std::atomic<std::int64_t> covered = 0;
  const auto cover = [&] {
    parallel_for(8, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        parallel_for(5, 1, [&](std::int64_t b, std::int64_t e) { covered += e - b; });
      }
    });
  };
  cover();
  CHECK(covered == 40);
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i)
    callers.emplace_back([&] {
      for (int k = 0; k < 100; ++k) cover();
    });
  for (std::thread& caller : callers) caller.join();
  CHECK(covered == 40 + 4 * 100 * 40);

  const pid_t child = fork();  // which has none of the threads
  if (child == 0) {
    covered = 0;
    cover();
    _exit(covered == 40 ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

TEST_CASE("PerThread makes one value for each thread that asks") {
  const ThreadsScope scope(3);
  PerThread<std::vector<std::int64_t>> own;
  std::atomic<int> made = 0;
  std::mutex mutex;
  std::set<int> numbers;
  parallel_for(200, 1, [&](std::int64_t i, std::int64_t, int thread) {
    auto& mine = own.get(thread, [&] {
      ++made;
      return std::vector<std::int64_t>{};
    });
    mine.push_back(i);
    const std::lock_guard lock(mutex);
    numbers.insert(thread);
  });
  CHECK(made == static_cast<int>(numbers.size()));
  std::set<std::int64_t> seen;
  for (const int thread : numbers) {
    for (const std::int64_t i : own.get(thread, [] { return std::vector<std::int64_t>{}; })) seen.insert(i);
  }
  CHECK(seen.size() == 200);
}

TEST_CASE("parallel_for rethrows what a piece throws and works afterwards") {
  for (const int count : {1, 4}) {
    const ThreadsScope scope(count);
    CHECK_THROWS_WITH(parallel_for(100, 1,
                                   [](std::int64_t begin, std::int64_t) {
                                     if (begin == 60) fail("piece ", 60);
                                   }),
                      "piece 60");
    // Both pieces run at the same time, and the later one throws first.
    std::atomic<bool> thrown = false;
    CHECK_THROWS_WITH(parallel_for(4, 1,
                                   [&](std::int64_t begin, std::int64_t) {
                                     if (begin == 0 && count > 1) comes([&] { return thrown.load(); });
                                     if (begin == 2) thrown = true;
                                     if (begin % 2 == 0) fail("piece ", begin);
                                   }),
                      "piece 0");
    std::atomic<std::int64_t> total = 0;
    parallel_for(100, 1, [&](std::int64_t begin, std::int64_t end) { total += end - begin; });
    CHECK(total == 100);
  }
}
