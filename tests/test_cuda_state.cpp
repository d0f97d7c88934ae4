// What the CUDA runtime keeps for all threads: kernels' limits of shared memory, and the vendor libraries' handles.
#include <simclr/core/error.h>
#include <simclr/kernels/cuda/handle.h>
#include <simclr/kernels/cuda/shared_memory.h>

#include "support/catch.h"
#include "support/message_of.h"

#include <atomic>
#include <latch>
#include <thread>
#include <vector>

using namespace simclr;
using cuda::LockedHandle;
using cuda::SharedMemoryLimits;

namespace {

/// Runs `work(i)` in a few threads at once.
template <class Work>
void in_threads(int count, const Work& work) {
  std::latch all_there(count);
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      all_there.arrive_and_wait();
      work(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

TEST_CASE("a kernel's limit of shared memory only ever rises, a limit each device and kernel") {
  SharedMemoryLimits limits;
  const char kernels[2] = {};
  std::vector<std::size_t> set;
  const auto reserve = [&](int device, int kernel, std::size_t bytes) {
    limits.reserve(device, &kernels[kernel], bytes, [&](std::size_t limit) { set.push_back(limit); });
  };
  reserve(0, 0, 48 << 10);  // which every kernel may have
  CHECK(set.empty());
  reserve(0, 0, 100'000);
  reserve(0, 0, 60'000);
  reserve(0, 0, 100'000);
  reserve(0, 0, 200'000);
  CHECK(set == std::vector<std::size_t>{100'000, 200'000});
  reserve(1, 0, 60'000);
  reserve(0, 1, 70'000);
  CHECK(set == std::vector<std::size_t>{100'000, 200'000, 60'000, 70'000});
}

TEST_CASE("a limit that cannot be set is asked for again") {
  SharedMemoryLimits limits;
  const char kernel = 0;
  CHECK(test::message_of([&] { limits.reserve(0, &kernel, 300'000, [](std::size_t) { fail("too much"); }); }) ==
        "too much");
  int calls = 0;
  limits.reserve(0, &kernel, 100'000, [&](std::size_t) { ++calls; });
  limits.reserve(0, &kernel, 300'000, [&](std::size_t) { ++calls; });
  CHECK(calls == 2);
}

TEST_CASE("threads that launch one kernel find room for their own launch") {
  SharedMemoryLimits limits;
  const char kernel = 0;
  std::atomic<std::size_t> limit = 48 << 10;
  std::atomic<int> too_low = 0, lowered = 0;
  in_threads(4, [&](int thread) {
    for (int i = 0; i < 1000; ++i) {
      const std::size_t bytes = 50'000 + 100 * static_cast<std::size_t>((i * 7 + thread) % 500);
      limits.reserve(0, &kernel, bytes, [&](std::size_t raised) { lowered += limit.exchange(raised) > raised; });
      too_low += limit < bytes;
    }
  });
  CHECK(too_low == 0);
  CHECK(lowered == 0);
}

TEST_CASE("a handle is made once, and one thread at a time uses it") {
  LockedHandle<int> handle;
  int made = 0, settings = 0;  // no atomics: ThreadSanitizer sees whether the lock holds
  std::atomic<int> inside = 0, together = 0;
  in_threads(4, [&](int thread) {
    for (int i = 0; i < 500; ++i) {
      const auto use = handle.use([&] { return ++made; });
      together += inside.fetch_add(1) != 0;
      settings = thread * use;
      std::this_thread::yield();
      inside.fetch_sub(1);
    }
  });
  CHECK(made == 1);
  CHECK(together == 0);
  CHECK(settings >= 0);
}

TEST_CASE("a handle that could not be made is made at the next use") {
  LockedHandle<int> handle;
  CHECK(test::message_of([&] { handle.use([]() -> int { fail("no memory"); }); }) == "no memory");
  CHECK(handle.use([] { return 7; }) == 7);
  CHECK(handle.use([] { return 8; }) == 7);
}
