// The thread that ends a process which waits for others too long. Each case is a process of its own.

#include <simclr/core/watchdog.h>

#include "support/catch.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>

using namespace simclr;
using namespace std::chrono_literals;

namespace {

constexpr const char* too_long =
    " has waited 0.2 s for the other ranks; one of them hangs or is cut off. The run ends. Go on from its last "
    "checkpoint, if it has one; if ranks were only slow, allow more (--world-timeout, World::set_timeout)\n";

/// What a process that runs `body` leaves on stderr, and how it ends: "code: text".
std::string end_of(const std::function<void()>& body) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    body();
    std::_Exit(0);
  }
  close(ends[1]);
  std::string text;
  char buffer[512];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<std::size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return std::to_string(WIFEXITED(status) ? WEXITSTATUS(status) : -1) + ": " + text;
}

}  // namespace

TEST_CASE("a wait that lasts too long ends the process with one line") {
  CHECK(end_of([] {
          Watchdog watchdog("rank 1 of 2", 200ms);
          watchdog.watch("all_gather", [] { std::this_thread::sleep_for(30s); });
        }) == std::string("1: rank 1 of 2: all_gather") + too_long);
}

TEST_CASE("so does a wait beside the thread, which no longer begins another") {
  CHECK(end_of([] {
          Watchdog watchdog("rank 1 of 2", 200ms, {.waits_in = [] { return std::uint64_t{7}; }});
          std::this_thread::sleep_for(30s);
        }) == std::string("1: rank 1 of 2: a collective of the GPUs") + too_long);
}

TEST_CASE("waits that are over, or that follow one another, end nothing") {
  CHECK(end_of([] {
          std::atomic<std::uint64_t> number{0};
          Watchdog watchdog("rank 1 of 2", 1s, {.waits_in = [&] { return number.load(); }});
          std::this_thread::sleep_for(1300ms);  // none
          for (int i = 0; i < 13; ++i) {
            ++number;
            std::this_thread::sleep_for(100ms);
          }
          number = 0;
          std::this_thread::sleep_for(1300ms);
        }) == "0: ");
}

TEST_CASE("what goes wrong beside the thread ends the process at once, with its words") {
  std::atomic<bool> wrong{false};
  CHECK(end_of([&] {
          Watchdog watchdog("rank 1 of 2", 200ms,
                            {.problem = [&] { return std::string(wrong ? "nccl: remote process exited" : ""); }});
          std::this_thread::sleep_for(300ms);
          wrong = true;
          std::this_thread::sleep_for(30s);
        }) == "1: rank 1 of 2: nccl: remote process exited\n");
}
