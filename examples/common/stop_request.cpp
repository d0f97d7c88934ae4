#include "common/stop_request.h"

#include <atomic>
#include <csignal>

namespace {

constexpr int signals[] = {SIGINT, SIGTERM, SIGHUP};

std::atomic<int> arrived{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may only touch what cannot block");

void handle(int number) {
  arrived = number;
  for (const int each : signals) std::signal(each, SIG_DFL);  // the next one ends the program
}

}  // namespace

StopRequest::StopRequest() {
  arrived = 0;
  for (const int each : signals) std::signal(each, handle);
}

StopRequest::~StopRequest() {
  for (const int each : signals) std::signal(each, SIG_DFL);
}

bool StopRequest::requested() {
  return arrived != 0;
}

int StopRequest::take() {
  return arrived.exchange(0);
}
