#include "run/stop_request.h"

#include <atomic>
#include <csignal>

namespace {

constexpr int signals[] = {SIGINT, SIGTERM, SIGHUP};

std::atomic<int> arrived{0}, more{0};  // the first signal, and how many came until it was taken
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may only touch what cannot block");

void handle(int number) {
  // A terminal or `timeout` may send two at once, and what is under way saves a checkpoint: the third ends the program.
  int none = 0;
  if (!arrived.compare_exchange_strong(none, number) && ++more >= 2) {
    for (const int each : signals) std::signal(each, SIG_DFL);
  }
}

}  // namespace

StopRequest::StopRequest() {
  arrived = more = 0;
  for (const int each : signals) std::signal(each, handle);
}

StopRequest::~StopRequest() {
  for (const int each : signals) std::signal(each, SIG_DFL);
}

bool StopRequest::requested() {
  return arrived != 0;
}

int StopRequest::take() {
  for (const int each : signals) std::signal(each, SIG_DFL);
  return arrived.exchange(0);
}
