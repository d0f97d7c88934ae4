#include "run/stop_request.h"

#include "run/host.h"

#include <atomic>
#include <csignal>

namespace {

constexpr int signals[] = {SIGINT, SIGTERM, SIGHUP};  // and SIGPIPE, which comes with every line that nobody reads

std::atomic<int> arrived{0}, more{0};  // the first signal, and how many came until it was taken
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may only touch what cannot block");

void give_back() {
  if (Host::current()) return;  // the signals are its own
  for (const int each : signals) std::signal(each, SIG_DFL);
  std::signal(SIGPIPE, SIG_IGN);  // what is yet to be written to files is worth more than the lines
}

void handle(int number) {
  // A terminal or `timeout` may send two at once, and what is under way saves a checkpoint: the third ends the program.
  int none = 0;
  if (!arrived.compare_exchange_strong(none, number) && number != SIGPIPE && ++more >= 2) give_back();
}

}  // namespace

StopRequest::StopRequest() {
  arrived = more = 0;
  if (Host::current()) return;
  for (const int each : signals) std::signal(each, handle);
  std::signal(SIGPIPE, handle);
}

StopRequest::~StopRequest() {
  give_back();
}

bool StopRequest::requested() {
  if (Host* const host = Host::current(); host && arrived == 0 && host->stop()) arrived = SIGINT;
  return arrived != 0;
}

void StopRequest::poll() {
  if (requested()) throw Stopped{};
}

int StopRequest::take() {
  give_back();
  return arrived.exchange(0);
}
