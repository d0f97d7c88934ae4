#include <simclr/core/error.h>
#include <simclr/core/random.h>
#include <simclr/kernels/emu/streams.h>

#include <utility>

namespace simclr::emu {

Streams::Streams(int count, std::uint64_t seed) : streams_(static_cast<std::size_t>(count)), seed_(seed) {}

void Streams::queue(int stream, std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  streams_[static_cast<std::size_t>(stream)].push_back({nullptr, std::move(work)});
  some_steps();
}

void Streams::record(Event& event, int stream) {
  const std::lock_guard lock(mutex_);
  event.passed_ = std::make_shared<bool>(false);
  streams_[static_cast<std::size_t>(stream)].push_back({nullptr, [passed = event.passed_] { *passed = true; }});
  some_steps();
}

void Streams::wait(int stream, const Event& event) {
  const std::lock_guard lock(mutex_);
  streams_[static_cast<std::size_t>(stream)].push_back({event.passed_, [] {}});
  some_steps();
}

void Streams::host_wait(const Event& event) {
  const std::lock_guard lock(mutex_);
  while (!*event.passed_) {
    bool any = false;
    for (int stream = 0; stream < static_cast<int>(streams_.size()); ++stream) any = step(stream) || any;
    SIMCLR_CHECK(any, "emu: the host waits for an event that cannot pass");
  }
}

bool Streams::passed(const Event& event) const {
  const std::lock_guard lock(mutex_);
  return *event.passed_;
}

void Streams::run(int stream) {
  const std::lock_guard lock(mutex_);
  while (step(stream)) {
  }
}

void Streams::finish() {
  const std::lock_guard lock(mutex_);
  for (bool any = true; any;) {
    any = false;
    for (int stream = 0; stream < static_cast<int>(streams_.size()); ++stream) any = step(stream) || any;
  }
}

/// Runs the stream's next work; false where there is none, or it waits.
bool Streams::step(int stream) {
  auto& works = streams_[static_cast<std::size_t>(stream)];
  if (works.empty() || (works.front().after && !*works.front().after)) return false;
  const Work work = std::move(works.front());
  works.pop_front();
  work.run();
  return true;
}

void Streams::some_steps() {
  if (seed_ == 0) return;
  const Random random(seed_, RandomPurpose::user, drawn_++);
  const auto count = static_cast<std::uint32_t>(streams_.size());
  for (std::uint32_t i = 0, steps = random.below(5, 0); i < steps; ++i) {
    step(static_cast<int>(random.below(count, i + 1)));
  }
}

}  // namespace simclr::emu
