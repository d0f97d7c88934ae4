#include <simclr/core/watchdog.h>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

namespace simclr {

Watchdog::Watchdog(std::string who, std::chrono::milliseconds timeout, Beside beside)
    : who_(std::move(who)), beside_(std::move(beside)), timeout_(timeout.count()) {
  sigset_t all, before;  // signals are for the program's own threads
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { live(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  end_.notify_one();
  thread_.join();
}

void Watchdog::live() {
  std::unique_lock lock(mutex_);
  std::int64_t waited = 0;  // by its own ticks, not by a clock
  for (std::uint64_t before = 0, beside_before = 0;;) {
    const std::int64_t timeout = timeout_, tick = std::clamp<std::int64_t>(timeout / 10, 10, 1000);
    if (end_.wait_for(lock, std::chrono::milliseconds(tick), [&] { return ended_; })) return;
    if (const std::string problem = beside_.problem(); !problem.empty()) end_process(problem);
    const std::uint64_t count = count_, beside = beside_.waits_in();
    const bool waits = count % 2 == 1 || beside != 0;
    waited = waits && count == before && beside == beside_before ? waited + tick : 0;
    before = count;
    beside_before = beside;
    if (waited < timeout) continue;
    std::ostringstream line;
    line << (count % 2 == 1 ? what_.load(std::memory_order_relaxed) : "a collective of the GPUs") << " has waited "
         << static_cast<double>(timeout) / 1000 << " s for the other ranks; one of them hangs or is cut off. "
         << "The run ends. Go on from its last checkpoint, if it has one; if ranks were only slow, allow more "
         << "(--world-timeout, World::set_timeout)";
    end_process(line.str());
  }
}

void Watchdog::end_process(const std::string& why) const {
  const std::string line = who_ + ": " + why + "\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, line.data(), line.size());
  std::_Exit(EXIT_FAILURE);
}

}  // namespace simclr
