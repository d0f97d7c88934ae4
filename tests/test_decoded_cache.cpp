// The cache of decoded samples: what it decodes again, what it keeps, and how much memory it takes.

#include <simclr/core/error.h>
#include <simclr/data/decoded_cache.h>
#include <simclr/data/free_memory.h>

#include "support/catch.h"
#include "support/decoding.h"
#include "support/message_of.h"
#include "support/temp_dir.h"

#include <sys/resource.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using Catch::Matchers::Contains;
using test::Decoding;
using test::is_right;
using test::message_of;
using test::pass;
using test::sample_bytes;
using test::TempDir;
namespace fs = std::filesystem;

TEST_CASE("The second pass decodes nothing") {
  const auto source = std::make_shared<Decoding>(100, 3);
  const DecodedCache cache(source);
  CHECK(cache.size() == 100);
  CHECK(cache.classes().size() == 4);
  CHECK(cache.label(7) == 3);
  CHECK(cache.describe() == "counted samples");
  CHECK(pass(cache));
  CHECK(source->decodes() == 100);
  CHECK(pass(cache));
  CHECK(source->decodes() == 100);
  const DecodedCache::State state = cache.state();
  CHECK(state.in_memory == 100);
  CHECK(state.memory_bytes == (90 + 3 * 10) * sample_bytes);
  CHECK(state.in_file == 0);
  CHECK_FALSE(state.full);
  CHECK_THAT(message_of([&] { (void)cache.sample(100); }), Contains("sample 100 of 100"));
  CHECK_THAT(message_of([&] { (void)cache.sample(-1); }), Contains("sample -1 of 100"));
}

TEST_CASE("A sample outlives the cache") {
  const auto taken = [] {
    const DecodedCache cache(std::make_shared<Decoding>(3));
    (void)cache.sample(2);
    return cache.sample(2);
  }();
  CHECK(is_right(taken, 2));
}

TEST_CASE("The memory limit is obeyed; what does not fit is decoded again") {
  const auto source = std::make_shared<Decoding>(100, 40);
  const DecodedCache cache(source, {.memory_bytes = 30 * sample_bytes + 1});
  CHECK(pass(cache));
  CHECK(cache.state().in_memory == 30);  // none of the tall ones
  CHECK(cache.state().memory_bytes == 30 * sample_bytes);
  CHECK(cache.state().full);
  CHECK(pass(cache));
  CHECK(source->decodes() == 100 + 70);
  CHECK(source->decoded[10] == 2);

  const auto all = std::make_shared<Decoding>(10);
  const DecodedCache nothing(all, {.memory_bytes = 0});
  CHECK(pass(nothing));
  CHECK(pass(nothing));
  CHECK(all->decodes() == 20);
}

TEST_CASE("What does not fit in memory is kept in a file without a name") {
  const TempDir dir;
  const auto source = std::make_shared<Decoding>(100, 3);
  const DecodedCache cache(source, {.memory_bytes = 20 * sample_bytes, .spill_folder = dir.path()});
  CHECK(fs::is_empty(dir.path()));
  for (int passes = 0; passes < 3; ++passes) CHECK(pass(cache));
  CHECK(source->decodes() == 100);
  const DecodedCache::State state = cache.state();
  CHECK(state.in_memory + state.in_file == 100);
  CHECK(state.memory_bytes <= 20 * sample_bytes);
  CHECK(state.memory_bytes + state.file_bytes == (90 + 3 * 10) * sample_bytes);
  CHECK_FALSE(state.full);
  CHECK(state.file_problem == "");
  CHECK_THAT(message_of([&] { DecodedCache(source, {.spill_folder = dir.path("none")}); }),
             Contains("decoded cache: cannot make a file in " + dir.path("none") + ": No such file"));
}

TEST_CASE("A disk that is full costs time, not samples") {
  const TempDir dir;
  const auto source = std::make_shared<Decoding>(100);
  const DecodedCache cache(source, {.memory_bytes = 10 * sample_bytes, .spill_folder = dir.path()});
  // A limit on the size of files stands in for a full disk; the last write stops half-way.
  const auto previous_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit previous{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &previous) == 0);
  rlimit limit = previous;
  limit.rlim_cur = 30 * sample_bytes + 200;  // with their warnings
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  const bool first = pass(cache), second = pass(cache);
  ::setrlimit(RLIMIT_FSIZE, &previous);
  std::signal(SIGXFSZ, previous_handler);
  CHECK(first);
  CHECK(second);
  CHECK(cache.state().in_file == 30);
  CHECK(cache.state().file_bytes == 30 * sample_bytes);
  CHECK(cache.state().full);
  CHECK(cache.state().file_problem == "File too large");
  CHECK(source->decodes() == 100 + 60);
  CHECK(pass(cache));
  CHECK(cache.state().in_file == 30);  // it is not tried again
}

TEST_CASE("An error is passed on each time, and never kept as a sample") {
  const auto source = std::make_shared<Decoding>(10);
  source->broken = 6;
  const DecodedCache cache(source);
  for (int tries = 1; tries <= 3; ++tries) {
    CHECK(message_of([&] { (void)cache.sample(6); }) == "sample 6 is broken");
    CHECK(source->decoded[6] == tries);
  }
  source->broken = -1;  // the file was mended
  CHECK(is_right(cache.sample(6), 6));
  CHECK(is_right(cache.sample(6), 6));
  CHECK(source->decoded[6] == 4);
}

TEST_CASE("Samples that lie in memory are passed on") {
  const auto set =
      std::shared_ptr<Dataset>(memory_dataset({.samples = Tensor::from(std::vector<std::uint8_t>{1, 2, 3, 4}, {2, 2}),
                                               .labels = {0, 0},
                                               .classes = {"a"},
                                               .description = "two"}));
  const DecodedCache cache(set);
  CHECK(cache.sample(1).bytes.data() == set->sample(1).bytes.data());
  CHECK(cache.state().in_memory == 0);
  CHECK_FALSE(cache.state().full);
}

TEST_CASE("Of two threads that decode the same sample at once the first one's is kept") {
  const TempDir dir;
  for (const std::int64_t memory : {10, 0}) {
    const auto source = std::make_shared<Decoding>(10);
    const DecodedCache cache(source, {.memory_bytes = memory * sample_bytes, .spill_folder = dir.path()});
    source->meanwhile = [&] { CHECK(is_right(cache.sample(5), 5)); };
    CHECK(is_right(cache.sample(5), 5));
    CHECK(source->decoded[5] == 2);
    CHECK(is_right(cache.sample(5), 5));
    CHECK(source->decoded[5] == 2);
    const DecodedCache::State state = cache.state();
    CHECK(state.in_memory + state.in_file == 1);
    CHECK(state.memory_bytes + state.file_bytes == sample_bytes);
  }
}

TEST_CASE("Threads share the cache") {
  const TempDir dir;
  for (const std::int64_t in_memory : {1000, 100, 0}) {
    CAPTURE(in_memory);
    const auto source = std::make_shared<Decoding>(300, 2);
    source->broken = 123;
    const DecodedCache cache(source, {.memory_bytes = in_memory * sample_bytes, .spill_folder = dir.path()});
    std::atomic<int> wrong{0}, errors{0};
    const auto run = [&](std::int64_t start) {
      for (std::int64_t k = 0; k < 600; ++k) {  // the same samples at the same time: two passes
        const std::int64_t i = (k + start) % 300;
        try {
          if (!is_right(cache.sample(i), i)) ++wrong;
        } catch (const Error&) {
          ++errors;
        }
      }
      (void)cache.state();
    };
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) threads.emplace_back(run, t);
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
    CHECK(errors == 8);
    const std::int64_t before = source->decodes();
    CHECK(before <= 4 * 299 + 8);
    const DecodedCache::State state = cache.state();
    CHECK(state.in_memory + state.in_file == 299);
    CHECK(state.memory_bytes <= in_memory * sample_bytes);
    source->broken = -1;
    CHECK(pass(cache));
    CHECK(source->decodes() == before + 1);
  }
}

TEST_CASE("Free memory is the system's, or what the control groups leave") {
  CHECK(free_memory() > 0);
  const TempDir dir;
  const auto text = [&](const std::string& name, const std::string& content) { dir.write(name, content); };
  text("proc/meminfo", "MemTotal:       8000 kB\nMemFree: 10 kB\nMemAvailable:    5000 kB\n");
  CHECK(free_memory(dir.path()) == 5000 * 1024);
  text("proc/self/cgroup", "4:memory:/other\n0::/job/step\n");
  CHECK(free_memory(dir.path()) == 5000 * 1024);
  text("sys/fs/cgroup/job/step/memory.max", "max\n");
  text("sys/fs/cgroup/job/step/memory.current", "1000000\n");
  CHECK(free_memory(dir.path()) == 5000 * 1024);
  text("sys/fs/cgroup/job/memory.max", "3000000\n");
  text("sys/fs/cgroup/job/memory.current", "2000000\n");
  CHECK(free_memory(dir.path()) == 1000000);
  text("sys/fs/cgroup/job/memory.stat", "anon 5\nfile 7\ninactive_file 300000\nactive_file 20000\n");
  CHECK(free_memory(dir.path()) == 1320000);
  text("proc/self/cgroup", "0::/\n");  // as in a container
  CHECK(free_memory(dir.path()) == 5000 * 1024);
  text("sys/fs/cgroup/memory.max", "100\n");
  text("sys/fs/cgroup/memory.current", "700\n");
  CHECK(free_memory(dir.path()) == 0);
}

TEST_CASE("Free memory knows the limits of version 1's control groups") {
  const TempDir dir;
  const auto text = [&](const std::string& name, const std::string& content) { dir.write(name, content); };
  text("proc/meminfo", "MemAvailable:    5000 kB\n");
  text("proc/self/cgroup", "12:cpu,cpuacct:/job\n5:memory:/job/step\n0::/job\n");
  text("sys/fs/cgroup/memory/job/step/memory.limit_in_bytes", "9223372036854771712\n");  // no limit
  text("sys/fs/cgroup/memory/job/step/memory.usage_in_bytes", "900000\n");
  CHECK(free_memory(dir.path()) == 5000 * 1024);
  text("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "3000000\n");
  text("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "2000000\n");
  CHECK(free_memory(dir.path()) == 1000000);
  text("sys/fs/cgroup/memory/job/memory.stat",
       "cache 9\ninactive_file 1\ntotal_inactive_file 400000\n"
       "total_active_file 100000\n");
  CHECK(free_memory(dir.path()) == 1500000);
  text("sys/fs/cgroup/memory/memory.limit_in_bytes", "1200000\n");  // the group above allows less
  text("sys/fs/cgroup/memory/memory.usage_in_bytes", "1000000\n");
  CHECK(free_memory(dir.path()) == 200000);
  text("proc/self/cgroup", "5:memory:/docker/0123456789ab\n");  // the host's path, as a container sees it
  CHECK(free_memory(dir.path()) == 200000);
  text("sys/fs/cgroup/memory/memory.stat", "total_inactive_file 2000000\n");  // more than is used: read in between
  CHECK(free_memory(dir.path()) == 1200000);
}
