// One cache of decoded samples for the ranks of a host: each sample is decoded once in all, whoever is killed
// meanwhile.

#include <simclr/core/error.h>
#include <simclr/core/world.h>
#include <simclr/data/decoded_cache.h>

#include "support/catch.h"
#include "support/decoding.h"
#include "support/temp_dir.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using Catch::Matchers::Contains;
using test::Decoding;
using test::is_right;
using test::pass;
using test::sample_bytes;
using test::TempDir;

namespace {

constexpr std::int64_t room = 128;  // for a sample of those that are not tall, its warning and what aligns it

/// A rank's samples, and the cache of them.
struct Rank {
  std::shared_ptr<Decoding> source;
  std::unique_ptr<DecodedCache> cache;
};

/// `ranks` of one host, whose caches share what they keep. `count` and `options` of each.
std::vector<Rank> share(int ranks, const std::function<std::int64_t(int)>& count, std::int64_t tall,
                        const DecodedCacheOptions& options) {
  std::vector<Rank> all(static_cast<std::size_t>(ranks));
  of_threads(ranks, [&](World& world) {
    Rank& own = all[static_cast<std::size_t>(world.rank())];
    own.source = std::make_shared<Decoding>(count(world.rank()), tall);
    own.cache = std::make_unique<DecodedCache>(own.source, options);
    own.cache->share(world);
  });
  return all;
}

std::vector<Rank> share(int ranks, std::int64_t count, std::int64_t tall, const DecodedCacheOptions& options) {
  return share(
      ranks, [count](int) { return count; }, tall, options);
}

std::int64_t decodes(const std::vector<Rank>& ranks) {
  std::int64_t sum = 0;
  for (const Rank& rank : ranks) sum += rank.source->decodes();
  return sum;
}

/// Calls work(rank) in as many threads for each; whether all return true.
bool side_by_side(const std::vector<Rank>& ranks, const std::function<bool(std::size_t)>& work,
                  std::size_t threads_each = 1) {
  std::vector<char> right(threads_each * ranks.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < right.size(); ++i) threads.emplace_back([&, i] { right[i] = work(i / threads_each); });
  for (std::thread& thread : threads) thread.join();
  return std::count(right.begin(), right.end(), 1) == std::ssize(right);
}

/// A process that calls `work` and ends.
pid_t start(const std::function<bool()>& work) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::_exit(work() ? 0 : 1);
}

int wait_for(pid_t child) {
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

/// Lets files of this process grow to `bytes` alone, as long as it lives.
class FileLimit {
 public:
  explicit FileLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  FileLimit(const FileLimit&) = delete;
  FileLimit& operator=(const FileLimit&) = delete;

 private:
  rlimit before_{};
};

}  // namespace

TEST_CASE("ranks of a host decode each sample once, and all find the very bytes") {
  const TempDir dir;
  for (const std::int64_t memory : {1000, 40, 0}) {
    CAPTURE(memory);
    const std::string folder = memory == 1000 ? "" : dir.path();
    const auto ranks = share(3, 100, 4, {.memory_bytes = memory * room, .spill_folder = folder});
    CHECK(side_by_side(ranks, [&](std::size_t r) { return pass(*ranks[r].cache, static_cast<std::int64_t>(r), 3); }));
    CHECK(decodes(ranks) == 100);
    CHECK(side_by_side(ranks, [&](std::size_t r) { return pass(*ranks[r].cache); }));
    CHECK(decodes(ranks) == 100);
    for (const Rank& rank : ranks) {
      const DecodedCache::State state = rank.cache->state();
      CHECK(state.ranks == 3);
      CHECK(state.in_memory + state.in_file == 100);
      CHECK(state.memory_bytes <= memory * room);
      CHECK(state.memory_bytes + state.file_bytes == (90 + 4 * 10) * sample_bytes);
      CHECK((state.in_file > 0) == (memory < 1000));
      CHECK_FALSE(state.full);
      CHECK(state.not_shared == "");
    }
  }
}

TEST_CASE("ranks that ask for the same samples at once keep each once") {
  const auto ranks = share(4, 300, 1, {.memory_bytes = 300 * room});
  // Two threads each: ThreadSanitizer sees what those share that have it mapped at one address.
  CHECK(side_by_side(
      ranks, [&](std::size_t r) { return pass(*ranks[r].cache); }, 2));
  CHECK(ranks[0].cache->state().in_memory == 300);
  CHECK(ranks[0].cache->state().memory_bytes == 300 * sample_bytes);
  const std::int64_t before = decodes(ranks);
  for (const Rank& rank : ranks) CHECK(pass(*rank.cache));
  CHECK(decodes(ranks) == before);
}

TEST_CASE("what the ranks of a host keep is limited for all together; what does not fit each decodes again") {
  const auto ranks = share(2, 100, 40, {.memory_bytes = 30 * room});
  for (int passes = 1; passes <= 2; ++passes) {
    for (const Rank& rank : ranks) CHECK(pass(*rank.cache));
  }
  const std::int64_t kept = ranks[0].cache->state().in_memory;
  CHECK(kept >= 30);
  CHECK(ranks[1].cache->state().in_memory == kept);
  CHECK(ranks[1].cache->state().memory_bytes <= 30 * room);
  CHECK(ranks[1].cache->state().full);
  CHECK(ranks[0].source->decodes() == 100 + (100 - kept));
  CHECK(ranks[1].source->decodes() == 2 * (100 - kept));
}

TEST_CASE("what memory is refused for goes into the file, or is decoded again") {
  const TempDir dir;
  const auto previous_handler = std::signal(SIGXFSZ, SIG_IGN);
  for (const bool file : {true, false}) {
    const auto ranks = share(2, 20, 1, {.memory_bytes = 100 * room, .spill_folder = file ? dir.path() : ""});
    {
      const FileLimit limit(4096 + 3 * room);  // slots of 20 samples take a page
      CHECK(pass(*ranks[0].cache));
      CHECK(pass(*ranks[1].cache));
    }
    const DecodedCache::State state = ranks[1].cache->state();
    CHECK(state.in_memory >= 3);
    CHECK(state.in_memory < 5);
    CHECK(state.in_file == (file ? 20 - state.in_memory : 0));
    CHECK(state.full == !file);
    CHECK(pass(*ranks[1].cache));
    CHECK(ranks[1].cache->state().in_memory == state.in_memory);  // it is not asked for again
  }
  std::signal(SIGXFSZ, previous_handler);
}

TEST_CASE("ranks whose caches keep nothing decode all") {
  const auto ranks = share(2, 20, 1, {.memory_bytes = 0});
  for (const Rank& rank : ranks) CHECK(pass(*rank.cache));
  CHECK(decodes(ranks) == 40);
  CHECK(ranks[0].cache->state().full);
  CHECK(ranks[0].cache->state().in_memory == 0);
}

TEST_CASE("a sample outlives all caches that share it") {
  const auto taken = [] {
    const auto ranks = share(2, 3, 1, {.memory_bytes = 1000});
    (void)ranks[0].cache->sample(1);
    return ranks[1].cache->sample(1);
  }();
  CHECK(is_right(taken, 1));
}

TEST_CASE("processes find what others have decoded") {
  const TempDir dir;
  for (const std::int64_t memory : {100, 40}) {
    const auto ranks = share(2, 100, 1, {.memory_bytes = memory * room, .spill_folder = dir.path()});
    std::vector<pid_t> children;
    for (std::size_t r = 0; r < 2; ++r) {
      children.push_back(start([&] { return pass(*ranks[r].cache, static_cast<std::int64_t>(r), 2); }));
    }
    for (const pid_t child : children) CHECK(wait_for(child) == 0);
    for (const Rank& rank : ranks) CHECK(pass(*rank.cache));
    CHECK(decodes(ranks) == 0);
    CHECK(ranks[0].cache->state().in_memory + ranks[0].cache->state().in_file == 100);
  }
}

TEST_CASE("what a process was killed in the midst of writing is decoded again, and never seen") {
  const auto ranks = share(2, 20, 20000, {.memory_bytes = 10 << 20});
  const pid_t child = start([&] {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    const FileLimit limit(1 << 20);  // sample 10 has twice that: a signal ends the process half-way
    (void)ranks[0].cache->sample(3);
    (void)ranks[0].cache->sample(10);
    return true;
  });
  const int status = wait_for(child);
  REQUIRE(WIFSIGNALED(status));
  REQUIRE(WTERMSIG(status) == SIGXFSZ);
  CHECK(ranks[1].cache->state().in_memory == 1);
  for (int passes = 1; passes <= 2; ++passes) {
    for (const Rank& rank : ranks) CHECK(pass(*rank.cache));
  }
  CHECK(ranks[1].source->decoded[10] == 2);
  CHECK(ranks[0].source->decoded[3] + ranks[1].source->decoded[3] == 0);
  CHECK(ranks[1].cache->state().in_memory == 19);
}

TEST_CASE("wherever processes are killed, the others find the very bytes or decode") {
  const TempDir dir;
  std::mt19937 random(1);
  for (int round = 0; round < 10; ++round) {
    const auto ranks = share(2, 200, 100, {.memory_bytes = 500 * room, .spill_folder = dir.path()});
    std::vector<pid_t> children;
    for (const Rank& rank : ranks) children.push_back(start([&] { return pass(*rank.cache); }));
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 5000));
    for (const pid_t child : children) ::kill(child, SIGKILL);
    const bool right = pass(*ranks[0].cache);  // while they die
    for (const pid_t child : children) wait_for(child);
    CHECK(right);
    CHECK(pass(*ranks[1].cache));
    CHECK(ranks[1].cache->state().in_memory + ranks[1].cache->state().in_file >= 198);  // each has been at one
  }
}

TEST_CASE("where ranks cannot share, each keeps its own in its part of the memory, and all say why") {
  const auto check = [](const std::vector<Rank>& ranks, const char* why) {
    for (const Rank& rank : ranks) {
      CHECK(pass(*rank.cache));
      const DecodedCache::State state = rank.cache->state();
      CHECK_THAT(state.not_shared, Contains(why));
      CHECK(state.ranks == 1);
      CHECK(state.memory_bytes == 10 * sample_bytes);
    }
  };
  const DecodedCacheOptions options{.memory_bytes = 20 * sample_bytes + 1};
  check(share(
            2, [](int rank) { return 100 + rank; }, 1, options),
        "rank 1: has 101 samples to keep, the first rank of its host 100");
  const FileLimit limit(1000);
  check(share(2, 100, 1, options), "rank 0: may not have a file of ");
}

TEST_CASE("one process shares with nobody") {
  World alone;
  const auto source = std::make_shared<Decoding>(10);
  DecodedCache cache(source);
  cache.share(alone);
  const Sample sample = cache.sample(4);
  CHECK(cache.sample(4).bytes.data() == sample.bytes.data());  // no copy
  CHECK(cache.state().ranks == 1);
  CHECK(cache.state().not_shared == "");
}
