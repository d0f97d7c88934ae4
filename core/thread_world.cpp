// Ranks that are threads of one process: each says where its memory is, waits until all have, and copies what it wants
// from the others'.
#include <simclr/core/host_world.h>

#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace simclr {
namespace {

/// What a rank comes with to a collective.
struct Call {
  const char* what = "";
  std::size_t bytes = 0;
  int root = 0;
  const std::byte* data = nullptr;
};

/// Where the ranks wait for one another.
class Meeting {
 public:
  explicit Meeting(int ranks) : calls_(static_cast<std::size_t>(ranks)), timeout_(std::chrono::seconds(60)) {}

  /// Waits until all ranks have come; then their calls can be read until this one leaves.
  void meet(int rank, const Call& call) {
    std::unique_lock lock(mutex_);
    if (ended_) fail(*ended_, "it has ended, and rank " + std::to_string(rank) + " waits for it in " + call.what);
    check();
    calls_[static_cast<std::size_t>(rank)] = call;
    if (arrive(lock, [&](const auto& over) { return changed_.wait_for(lock, timeout_, over); })) {
      compare();
    } else {
      fail(rank, std::string(call.what) + ": the others have not come for " + std::to_string(timeout_.count()) +
                     " ms; they hang");
    }
    check();
  }

  /// Waits until all have copied. That ends: no rank can fail meanwhile, nor free what another copies.
  void leave() {
    std::unique_lock lock(mutex_);
    arrive(lock, [&](const auto& over) { return changed_.wait(lock, over), true; });
  }

  const Call& of(std::size_t rank) const { return calls_[rank]; }

  void end(int rank) {
    const std::lock_guard lock(mutex_);
    ended_ = rank;
    if (waiting_ > 0) fail(rank, std::string("it has ended, and others wait for it"));
  }

  void fail_of(int rank, const std::string& why) {
    const std::lock_guard lock(mutex_);
    fail(rank, why);
  }

  void set_timeout(std::chrono::milliseconds timeout) {
    const std::lock_guard lock(mutex_);
    timeout_ = timeout;
  }

 private:
  /// Returns when all have arrived or one has failed, for as long as `wait` waits; false: none of it.
  template <class Wait>
  bool arrive(std::unique_lock<std::mutex>&, const Wait& wait) {
    const std::uint64_t before = round_;
    if (++waiting_ < calls_.size()) return wait([&] { return round_ != before || !failure_.empty(); });
    waiting_ = 0;
    ++round_;
    changed_.notify_all();
    return true;
  }

  void fail(int rank, const std::string& why) {
    if (failure_.empty()) failure_ = "rank " + std::to_string(rank) + ": " + why;
    changed_.notify_all();
  }

  void check() const { SIMCLR_CHECK(failure_.empty(), failure_); }

  /// Whether all have come to the same.
  void compare() {
    for (std::size_t r = 1; r < calls_.size(); ++r) {
      const Call &first = calls_[0], &other = calls_[r];
      if (std::strcmp(first.what, other.what) == 0 && first.bytes == other.bytes && first.root == other.root) continue;
      fail(static_cast<int>(r), std::string(other.what) + " of " + std::to_string(other.bytes) +
                                    " bytes meets rank 0's " + first.what + " of " + std::to_string(first.bytes));
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Call> calls_;
  std::size_t waiting_ = 0;
  std::uint64_t round_ = 0;
  std::optional<int> ended_;  // a rank whose body has returned
  std::string failure_;
  std::chrono::milliseconds timeout_;
};

class ThreadTransport final : public Transport {
 public:
  ThreadTransport(Meeting& meeting, int rank, int size)
      : meeting_(meeting), rank_(rank), size_(static_cast<std::size_t>(size)) {}

  void all_to_all(const std::byte* from, std::byte* to, std::size_t bytes) override {
    join({"all_to_all", bytes, 0, from}, [&] {
      const std::size_t own = static_cast<std::size_t>(rank_) * bytes;
      for (std::size_t r = 0; r < size_; ++r) std::memcpy(to + r * bytes, meeting_.of(r).data + own, bytes);
    });
  }

  void all_gather(const std::byte* from, std::byte* to, std::size_t bytes) override {
    join({"all_gather", bytes, 0, from}, [&] {
      for (std::size_t r = 0; r < size_; ++r) {
        if (meeting_.of(r).data != to + r * bytes) std::memcpy(to + r * bytes, meeting_.of(r).data, bytes);
      }
    });
  }

  void broadcast(std::byte* data, std::size_t bytes, int from) override {
    join({"broadcast", bytes, from, data}, [&] {
      if (rank_ != from) std::memcpy(data, meeting_.of(static_cast<std::size_t>(from)).data, bytes);
    });
  }

  void set_timeout(std::chrono::milliseconds timeout) override { meeting_.set_timeout(timeout); }
  void fail(const std::string& why) override { meeting_.fail_of(rank_, why); }

 private:
  /// `copy` reads the others' memory, which stays as it is until all have.
  template <class Copy>
  void join(const Call& call, const Copy& copy) {
    meeting_.meet(rank_, call);
    copy();
    meeting_.leave();
  }

  Meeting& meeting_;
  int rank_;
  std::size_t size_;
};

}  // namespace

void of_threads(int ranks, const std::function<void(World&)>& body) {
  SIMCLR_CHECK(ranks >= 1, "of_threads: ", ranks, " ranks; at least 1 is needed");
  Meeting meeting(ranks);
  std::mutex mutex;
  std::exception_ptr first;
  const auto note = [&](int rank, const char* why) {
    const std::lock_guard lock(mutex);
    if (!first) first = std::current_exception();
    meeting.fail_of(rank, why);
  };
  const auto live = [&](int rank) {
    try {
      HostWorld world({rank, ranks, rank, ranks}, std::make_unique<ThreadTransport>(meeting, rank, ranks));
      body(world);
      meeting.end(rank);
    } catch (const std::exception& error) {
      note(rank, error.what());
    } catch (...) {
      note(rank, "an exception of an unknown kind");
    }
  };
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    try {
      threads.emplace_back(live, rank);
    } catch (const std::exception& error) {
      note(rank, error.what());
      break;
    }
  }
  for (std::thread& thread : threads) thread.join();
  if (first) std::rethrow_exception(first);
}

}  // namespace simclr
