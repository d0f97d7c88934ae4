#include <simclr/core/caching_allocator.h>

#include "support/catch.h"
#include "support/message_of.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <latch>
#include <set>
#include <thread>

using namespace simclr;

namespace {

/// Hands out up to `capacity` bytes and counts.
class Counted final : public MemorySource {
 public:
  struct Counts {
    std::size_t capacity = std::size_t{1} << 30;
    int taken = 0, refused = 0, returned = 0;
    std::size_t held = 0;
    std::vector<std::pair<void*, std::size_t>> blocks;
  };

  explicit Counted(Counts& counts) : counts_(counts) {}

  void* take(std::size_t bytes) override {
    if (counts_.held + bytes > counts_.capacity) {
      ++counts_.refused;
      return nullptr;
    }
    ++counts_.taken;
    counts_.held += bytes;
    void* block = std::malloc(bytes);
    counts_.blocks.emplace_back(block, bytes);
    return block;
  }

  void give_back(void* block) noexcept override {
    const auto found = std::ranges::find(counts_.blocks, block, &std::pair<void*, std::size_t>::first);
    if (found == counts_.blocks.end()) std::abort();  // never ours, or given back twice
    counts_.held -= found->second;
    counts_.blocks.erase(found);
    ++counts_.returned;
    std::free(block);
  }

  std::string describe() const override { return "on toy:0 (1.0 GiB free of 2.0 GiB)"; }

 private:
  Counts& counts_;
};

struct Toy {
  Counted::Counts counts;
  CachingAllocator allocator{std::make_unique<Counted>(counts)};
};

}  // namespace

TEST_CASE("released blocks serve the next request of about their size") {
  Toy toy;
  void* first = toy.allocator.allocate(10'000);
  toy.allocator.release(first, 10'000);
  CHECK(toy.allocator.allocate(9'900) == first);
  CHECK(toy.counts.taken == 1);
  void* other = toy.allocator.allocate(20'000);
  CHECK(toy.counts.taken == 2);
  toy.allocator.release(first, 9'900);
  toy.allocator.release(other, 20'000);
  CHECK(toy.allocator.stats().in_use == 0);
  CHECK(toy.allocator.stats().reserved == toy.counts.held);
  CHECK(toy.allocator.stats().peak >= 29'900);
  toy.allocator.trim();
  CHECK(toy.counts.held == 0);
  CHECK(toy.allocator.stats().reserved == 0);
}

TEST_CASE("an open pool takes blocks of its own and gives none away") {
  Toy toy;
  CachingAllocator& allocator = toy.allocator;
  void* common = allocator.allocate(1000);

  const std::uint64_t pool = allocator.open_pool();
  allocator.release(common, 1000);
  void* first = allocator.allocate(1000);
  CHECK(first != common);  // though one was free
  allocator.release(first, 1000);
  CHECK(allocator.allocate(1000) == first);  // within the pool blocks are reused, as a captured step's are
  void* second = allocator.allocate(1000);
  CHECK(second != common);
  allocator.release(second, 1000);
  allocator.close_pool();

  // The graph will write into both blocks again: neither the free one nor, once released, the other serves others.
  CHECK(allocator.allocate(1000) == common);
  allocator.release(first, 1000);
  std::set<void*> others;
  for (int i = 0; i < 4; ++i) others.insert(allocator.allocate(1000));
  CHECK(others.count(first) == 0);
  CHECK(others.count(second) == 0);
  CHECK(toy.counts.taken == 7);

  // Nor are they given back to the system, whose next user would be overwritten.
  const int returned = toy.counts.returned;
  allocator.trim();
  CHECK(toy.counts.returned == returned);

  allocator.drop_pool(pool);
  const std::set<void*> dropped = {allocator.allocate(1000), allocator.allocate(1000)};
  CHECK(dropped == std::set<void*>{first, second});
  CHECK(toy.counts.taken == 7);
  for (void* block : others) allocator.release(block, 1000);
  for (void* block : dropped) allocator.release(block, 1000);
  allocator.release(common, 1000);
  CHECK(allocator.stats().in_use == 0);
}

TEST_CASE("a block of the common pool that is released while a pool is open stays common") {
  Toy toy;
  CachingAllocator& allocator = toy.allocator;
  void* common = allocator.allocate(1000);
  const std::uint64_t pool = allocator.open_pool();
  allocator.release(common, 1000);
  void* own = allocator.allocate(1000);
  CHECK(own != common);
  allocator.close_pool();
  CHECK(allocator.allocate(1000) == common);
  allocator.release(common, 1000);
  allocator.release(own, 1000);
  allocator.drop_pool(pool);
}

TEST_CASE("pools do not mix, and a block in use outlives its pool") {
  Toy toy;
  CachingAllocator& allocator = toy.allocator;
  const std::uint64_t one = allocator.open_pool();
  void* kept = allocator.allocate(500);  // a result that the caller holds on to
  allocator.close_pool();
  const std::uint64_t two = allocator.open_pool();
  CHECK(two != one);
  void* other = allocator.allocate(500);
  allocator.release(other, 500);
  allocator.release(kept, 500);
  CHECK(allocator.allocate(500) == other);
  void* third = allocator.allocate(500);
  CHECK(third != kept);
  allocator.close_pool();
  allocator.release(other, 500);

  allocator.drop_pool(two);  // `third` is still in use
  CHECK(allocator.allocate(500) == other);
  allocator.release(third, 500);
  CHECK(allocator.allocate(500) == third);  // now it is anyone's
  CHECK(toy.counts.taken == 3);
  allocator.release(other, 500);
  allocator.release(third, 500);
  allocator.drop_pool(one);
  allocator.drop_pool(one);  // unknown by now: nothing happens
  CHECK(allocator.stats().in_use == 0);
  allocator.trim();
  CHECK(toy.counts.held == 0);
}

TEST_CASE("pools do not nest") {
  Toy toy;
  const std::uint64_t pool = toy.allocator.open_pool();
  CHECK(test::message_of([&] { toy.allocator.open_pool(); }) ==
        "allocator: a private pool is open already; close it first");
  toy.allocator.close_pool();
  toy.allocator.drop_pool(pool);
  CHECK_NOTHROW(toy.allocator.open_pool());
}

TEST_CASE("a captured step does not take the memory of the step before it once more") {
  Toy toy;
  toy.counts.capacity = 100'000;  // of a step that wants 60,000
  CachingAllocator& allocator = toy.allocator;
  const auto step = [&] {
    void* blocks[] = {allocator.allocate(20'000), allocator.allocate(20'000), allocator.allocate(20'000)};
    for (void* block : blocks) allocator.release(block, 20'000);
  };
  step();
  const std::size_t one_step = toy.counts.held;
  const std::uint64_t first = allocator.open_pool();
  CHECK(toy.counts.held == 0);  // before the capture, not in it
  const int returned = toy.counts.returned;
  step();
  allocator.close_pool();
  CHECK(toy.counts.held == one_step);
  CHECK(toy.counts.returned == returned);
  CHECK(toy.counts.refused == 0);

  allocator.drop_pool(first);  // and a second capture, after the first one's end
  const std::uint64_t second = allocator.open_pool();
  step();
  allocator.close_pool();
  CHECK(toy.counts.held == one_step);
  CHECK(toy.counts.refused == 0);
  allocator.drop_pool(second);
}

TEST_CASE("nothing goes back to the system while a pool is open, whoever asks") {
  Toy toy;
  toy.counts.capacity = 100'000;
  CachingAllocator& allocator = toy.allocator;
  void* block = allocator.allocate(60'000);
  const std::uint64_t pool = allocator.open_pool();
  allocator.release(block, 60'000);  // common, and free
  CHECK_THROWS_AS(allocator.allocate(50'000), OutOfMemory);
  std::thread([&] { CHECK_THROWS_AS(allocator.allocate(90'000), OutOfMemory); }).join();
  CHECK(toy.counts.returned == 0);
  allocator.trim();
  CHECK(toy.counts.returned == 0);
  void* small = allocator.allocate(30'000);  // what fits is served
  allocator.close_pool();
  CHECK(toy.counts.returned == 1);  // the trim that was put off
  allocator.release(small, 30'000);
  allocator.drop_pool(pool);
  allocator.release(allocator.allocate(90'000), 90'000);
}

TEST_CASE("an open pool is its thread's: others share the common pool, or open one of their own") {
  Toy toy;
  CachingAllocator& allocator = toy.allocator;
  const std::uint64_t pool = allocator.open_pool();
  void* own = allocator.allocate(1000);
  void *common = nullptr, *others = nullptr, *more = nullptr;
  std::uint64_t second = 0;
  std::thread([&] {
    common = allocator.allocate(1000);
    allocator.close_pool();  // of no pool: the other thread's stays open
    second = allocator.open_pool();
    CHECK(second != pool);
    others = allocator.allocate(1000);
    allocator.release(own, 1000);  // returns to its pool, whoever releases it
    more = allocator.allocate(1000);
    allocator.close_pool();
    allocator.release(common, 1000);
  }).join();
  CHECK(allocator.allocate(1000) == own);
  allocator.close_pool();
  CHECK(allocator.allocate(1000) == common);
  CHECK(std::set<void*>{own, common, others, more}.size() == 4);
  for (void* block : {own, common, others, more}) allocator.release(block, 1000);
  allocator.drop_pool(pool);
  allocator.drop_pool(second);
}

TEST_CASE("threads that allocate beside a capture get none of its blocks") {
  Toy toy;
  CachingAllocator& allocator = toy.allocator;
  constexpr int rounds = 300;
  const std::uint64_t pool = allocator.open_pool();  // from now on no address comes twice by way of the system
  std::vector<std::set<void*>> seen(3);
  std::latch all_begun(3);
  std::vector<std::thread> threads;
  for (std::set<void*>& blocks : seen) {
    threads.emplace_back([&allocator, &all_begun, &blocks] {
      for (int i = 0; i < rounds; ++i) {
        void* block = allocator.allocate(1000);
        blocks.insert(block);
        std::memset(block, i, 1000);
        allocator.release(block, 1000);
        if (i == 0) all_begun.count_down();
      }
    });
  }
  all_begun.wait();
  std::set<void*> own;
  std::vector<void*> held;
  for (int i = 0; i < rounds; ++i) {
    held.push_back(allocator.allocate(1000));
    own.insert(held.back());
    std::memset(held.back(), i, 1000);
  }
  for (std::thread& thread : threads) thread.join();
  allocator.close_pool();
  CHECK(own.size() == rounds);
  for (const std::set<void*>& blocks : seen) {
    CHECK(std::ranges::none_of(blocks, [&](void* block) { return own.contains(block); }));
  }
  for (void* block : held) allocator.release(block, 1000);
  allocator.drop_pool(pool);
  CHECK(allocator.stats().in_use == 0);
}

TEST_CASE("where memory runs out, free blocks are given back first") {
  Toy toy;
  toy.counts.capacity = 100'000;
  CachingAllocator& allocator = toy.allocator;
  void* block = allocator.allocate(60'000);
  allocator.release(block, 60'000);
  block = allocator.allocate(90'000);
  CHECK(toy.counts.refused == 1);
  CHECK(toy.counts.returned == 1);
  allocator.release(block, 90'000);

  // The pool may have the common blocks' memory, but nobody the pool's.
  const std::uint64_t pool = allocator.open_pool();
  block = allocator.allocate(50'000);
  CHECK(toy.counts.returned == 2);
  allocator.release(block, 50'000);
  allocator.close_pool();
  CHECK_THROWS_AS(allocator.allocate(60'000), Error);
  allocator.drop_pool(pool);
  allocator.release(allocator.allocate(60'000), 60'000);
}

TEST_CASE("out of memory says what was asked for, where, what is held, and what to lower") {
  Toy toy;
  toy.counts.capacity = 10'000;
  void* held = toy.allocator.allocate(2048);
  CHECK(test::message_of([&] { toy.allocator.allocate(123'456); }) ==
        "out of memory on toy:0 (1.0 GiB free of 2.0 GiB): asked for 123456 bytes with 2048 bytes in use; lower the "
        "batch size or the model's width");
  CHECK_THROWS_AS(toy.allocator.allocate(123'456), OutOfMemory);
  CHECK(toy.allocator.stats().in_use == 2048);
  CHECK(toy.allocator.stats().reserved == 2048);
  toy.allocator.release(held, 2048);
}

TEST_CASE("an allocator that goes gives everything back") {
  Counted::Counts counts;
  {
    CachingAllocator allocator(std::make_unique<Counted>(counts));
    allocator.release(allocator.allocate(1000), 1000);
    allocator.release(allocator.allocate(5000), 5000);
    const std::uint64_t pool = allocator.open_pool();
    allocator.release(allocator.allocate(1000), 1000);
    allocator.close_pool();
    allocator.drop_pool(pool);
  }
  CHECK(counts.held == 0);
}
