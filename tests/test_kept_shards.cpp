// Tar shards: the index that is kept, and shards that change.

#include <simclr/core/crc64.h>
#include <simclr/data/shards.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/pictures.h"
#include "support/shards.h"
#include "support/tar.h"
#include "support/temp_dir.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using namespace simclr::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

/// By this process so far; -1: the system does not say.
std::int64_t bytes_read() {
  std::ifstream counts("/proc/self/io");
  std::string name;
  std::int64_t bytes = -1;
  return counts >> name >> bytes ? bytes : -1;
}

}  // namespace

TEST_CASE("The index is kept apart from the data, and made again for another file") {
  if (no_shards()) return;
  const TempDir dir, cache;
  const std::string path = dir.write("0.tar", tar_member("1.jpg", "one") + tar_member("1.cls", "a") + tar_end());
  const std::string folder = cache.path("deeper/index");
  const Names samples = Opened({path}, folder).all();
  CHECK(dir.names() == std::set<std::string>{"0.tar"});
  std::vector<fs::path> kept(fs::directory_iterator(folder), fs::directory_iterator{});
  REQUIRE(kept.size() == 1);
  const std::string bytes = read_text(kept[0].string());
  SECTION("the kept one is used") {
    fs::last_write_time(kept[0], fs::file_time_type::clock::now() - std::chrono::hours(1));
    const auto before = fs::last_write_time(kept[0]);
    const Opened again({path}, folder);
    CHECK(again.all() == samples);
    CHECK(again->classes() == Names{"a"});
    CHECK(fs::last_write_time(kept[0]) == before);
  }
  SECTION("a damaged one is not") {
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ 4);
      cache.write("deeper/index/" + kept[0].filename().string(), damaged);
      CHECK(Opened({path}, folder).all() == samples);
      cache.write("deeper/index/" + kept[0].filename().string(), damaged.substr(0, at));
      CHECK(Opened({path}, folder).all() == samples);
    }
  }
  SECTION("nor one whose numbers lead out of it, though its digest holds") {
    constexpr std::size_t digest_at = 16, counts = 64, texts = 160 + 2 * 16 + 12 + 2 * 2 * 4 + 4;
    REQUIRE(bytes.size() == texts + std::string("1..jpg.jpg..cls.cls.a.").size());
    for (std::size_t at = counts; at < texts; at += 4) {
      std::string damaged = bytes;
      const std::uint32_t large = 0xfffffff0;
      std::memcpy(damaged.data() + at, &large, sizeof large);
      Crc64 digest;
      digest.update(damaged.data() + digest_at + 8, damaged.size() - digest_at - 8);
      const std::uint64_t value = digest.value();
      std::memcpy(damaged.data() + digest_at, &value, sizeof value);
      cache.write("deeper/index/" + kept[0].filename().string(), damaged);
      CHECK(Opened({path}, folder).all() == samples);
    }
  }
  SECTION("another size and the same time") {
    const auto before = fs::last_write_time(path);
    dir.write("0.tar", tar_member("2.jpg", "two") + tar_end());
    fs::last_write_time(path, before);
    CHECK(Opened({path}, folder).all() == Names{"2: jpg=two"});
    CHECK(std::distance(fs::directory_iterator(folder), fs::directory_iterator{}) == 1);
  }
  SECTION("the same size and another time") {
    dir.write("0.tar", tar_member("2.jpg", "two") + tar_member("1.cls", "a") + tar_end());
    fs::last_write_time(path, fs::file_time_type::clock::now() + std::chrono::hours(1));
    CHECK(Opened({path}, folder).all() == Names{"2: jpg=two", "1: cls=a"});
  }
  SECTION("the same size and time: another file in its place") {
    const auto before = fs::last_write_time(path);
    const std::string other = dir.write("1.tar", tar_member("2.jpg", "two") + tar_member("2.cls", "b") + tar_end());
    fs::last_write_time(other, before);
    fs::rename(other, path);
    const Opened shards({path}, folder);
    CHECK(shards.all() == Names{"2: jpg=two cls=b"});
    CHECK(shards->classes() == Names{"b"});
  }
  SECTION("the same size and time: other bytes in it") {
    const auto before = fs::last_write_time(path);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // system clocks tick every few milliseconds
    dir.write("0.tar", tar_member("2.jpg", "two") + tar_member("2.cls", "b") + tar_end());
    fs::last_write_time(path, before);
    CHECK(Opened({path}, folder).all() == Names{"2: jpg=two cls=b"});
  }
  SECTION("a folder that cannot be") {
    const Opened shards({path}, path + "/index");
    CHECK(shards.all() == samples);
    CHECK_THAT(shards.warnings.at(0), Contains("the index of the shards is made again each time"));
  }
}

TEST_CASE("A shard that changes under a run is noticed") {
  if (no_shards()) return;
  const TempDir dir;
  const std::string path = dir.write("0.tar", tar_member("1.jpg", "one") + tar_end());
  const Opened shards({path});
  dir.write("0.tar", tar_member("0.jpg", "zero") + tar_member("1.jpg", "one") + tar_end());
  CHECK_THAT(message_of([&] { (void)shards->read(0, 0); }), Contains(path) && Contains("has changed"));
  const Opened again({path});
  CHECK(text_of(again->read(1, 0)) == "one");  // it is open
  fs::resize_file(path, 600);
  CHECK_THAT(message_of([&] { (void)again->read(1, 0); }), Contains("0.tar: 1.jpg: the shard has changed"));
  const std::string other = dir.write("1.tar", tar_member("1.jpg", "one") + tar_end());
  const Opened same({other});
  CHECK(text_of(same->read(0, 0)) == "one");
  dir.write("1.tar", tar_member("1.jpg", "two") + tar_end());  // of the same size
  fs::last_write_time(other, fs::file_time_type::clock::now() + std::chrono::hours(1));
  CHECK_THAT(message_of([&] { (void)same->read(0, 0); }), Contains("1.tar: 1.jpg: the shard has changed"));
}

TEST_CASE("A shard that somebody puts in its place once more is read on, another one of its size and time is not") {
  if (no_shards()) return;
  const TempDir dir;
  const std::string path = dir.write("0.tar", tar_member("1.jpg", "one") + tar_member("2.jpg", "two") + tar_end());
  const auto replace = [&](const std::string& bytes) {
    const auto before = fs::last_write_time(path);
    const std::string other = dir.write("new", bytes);
    fs::last_write_time(other, before);
    fs::rename(other, path);
  };
  const Opened shards({path});
  replace(read_text(path));
  CHECK(text_of(shards->read(1, 0)) == "two");
  const Opened others({path});
  replace(tar_member("2.jpg", "two") + tar_member("1.jpg", "one") + tar_end());
  CHECK_THAT(message_of([&] { (void)others->read(1, 0); }), Contains(path + ": the shard has changed"));
  CHECK(text_of(shards->read(1, 0)) == "two");  // it is open
}

TEST_CASE("A digest of a shard tells its samples from others") {
  if (no_shards()) return;
  const TempDir dir, cache;
  const std::string one = tar_member("1.jpg", "one") + tar_member("1.cls", "a");
  const auto digest = [&](const std::string& members) {
    const Names paths = {dir.write("0.tar", members + tar_end())};
    const auto made = Opened(paths)->digests();
    CHECK(Opened(paths, cache.path())->digests() == made);
    CHECK(Opened(paths, cache.path())->digests() == made);
    return made.at(0);
  };
  const std::uint64_t before = digest(one);
  CHECK(digest(tar_header("folder", 0, '5') + tar_member("./1.JPG", "two") + tar_member("1.cls", "10")) == before);
  CHECK(digest(tar_member("2.jpg", "one") + tar_member("2.cls", "a")) != before);
  CHECK(digest(tar_member("1.jpg", "three") + tar_member("1.cls", "a")) != before);
  CHECK(digest(tar_member("1.png", "one") + tar_member("1.cls", "a")) != before);
  const std::string two = tar_member("2.jpg", "two");
  CHECK(digest(one + two) != digest(two + one));
  const Opened several(
      {dir.write("a.tar", one + tar_end()), dir.path("none.tar"), dir.write("b.tar", two + tar_end())});
  REQUIRE(several->digests().size() == 3);
  CHECK(several->digests()[0] == before);
}

TEST_CASE("A shard whose rights change is looked at once more, not by each thread") {
  if (no_shards() || bytes_read() < 0) return;
  const TempDir dir;
  std::string members;
  for (int i = 0; i < 20000; ++i) members += tar_member(std::to_string(i) + ".jpg", "x");
  const std::string path = dir.write("0.tar", members + tar_end());
  const auto cost_of = [&path](int threads) {
    const Opened shards({path});
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // system clocks tick every few milliseconds
    fs::permissions(path, fs::perms::owner_exec, threads == 1 ? fs::perm_options::add : fs::perm_options::remove);
    const std::int64_t before = bytes_read();
    std::atomic<std::int64_t> read = 0;
    std::vector<std::thread> all;
    for (int t = 0; t < threads; ++t) {
      all.emplace_back([&shards, &read, t] { read += std::ssize(shards->read(t, 0)); });
    }
    for (std::thread& thread : all) thread.join();
    CHECK(read == threads);
    return bytes_read() - before;
  };
  const std::int64_t one = cost_of(1);
  CHECK(one > std::ssize(members) / 4);
  CHECK(cost_of(8) < 2 * one);
}
