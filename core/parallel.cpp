// The threads of the CPU kernels. A loop's pieces are dealt out evenly; a thread that is through with its own takes
// what others have not begun, so one that the system has put aside delays the loop by a piece, not by its share.
// Waiting is a short spin, then sleep: threads that spin take the processor from those they wait for. The calling
// thread works too, and waits for nobody who has not begun. See docs/decisions/threads.md.
#include <simclr/core/error.h>
#include <simclr/core/parallel.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace simclr {
namespace {

/// About what waking a sleeping thread takes: whoever waits longer loses little by sleeping.
constexpr std::chrono::microseconds longest_spin{20};
/// After which a thread that sleeps looks whether those it waits for run at all.
constexpr std::chrono::microseconds patience{50};
/// Pieces that a loop must have before sleeping threads are woken for it; those that still spin join in any.
constexpr std::int64_t worth_waking = 4;

thread_local bool serial = false;

/// The processors that this process may run on.
cpu_set_t allowed_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  return set;
}

int processors() {
  const cpu_set_t set = allowed_processors();
  return std::max(CPU_COUNT(&set), 1);
}

std::atomic<int>& thread_count() {
  static std::atomic<int> count{std::min(processors(), most_threads)};
  return count;
}

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Whether `value` became another than `old` during a bounded spin.
bool spin(const std::atomic<std::uint32_t>& value, std::uint32_t old) {
  const auto end = std::chrono::steady_clock::now() + longest_spin;
  do {
    for (int i = 0; i < 16; ++i) {
      if (value.load(std::memory_order_acquire) != old) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

/// One parallel loop at a time. It is never destroyed: its threads sleep in it until the process ends.
class Pool {
 public:
  /// False where another loop is running.
  bool run(std::int64_t n, std::int64_t grain, detail::RangeFunction function, void* body, int participants) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return false;
    grow(participants - 1);
    const std::int64_t pieces = (n + grain - 1) / grain;
    n_ = n;
    grain_ = grain;
    function_ = function;
    body_ = body;
    participants_ = participants;
    failed_ = false;
    error_ = nullptr;
    failed_piece_ = pieces;
    for (int i = 0; i < participants_; ++i) {
      Share& share = shares_[static_cast<std::size_t>(i)];
      share.next.store(pieces * i / participants_, std::memory_order_relaxed);
      share.end = pieces * (i + 1) / participants_;
    }
    open(pieces);
    work(0);
    close();
    if (failed_) std::rethrow_exception(std::exchange(error_, nullptr));
    return true;
  }

 private:
  /// Pieces [next, end) that nobody has begun.
  struct alignas(64) Share {
    std::atomic<std::int64_t> next{0};
    std::int64_t end = 0;
  };

  static constexpr std::uint32_t opened = std::uint32_t{1} << 31;  // a bit of inside_, above the count

  /// A thread of the pool, as the scheduler knows it.
  struct alignas(64) Worker {
    std::atomic<pid_t> id{0};
    clockid_t clock{};  // of its processor time
    std::atomic<bool> inside = false;
    std::atomic<bool> fetched = false;  // bound to the processor of a caller that waited
  };

  void grow(int workers) {
    while (started_ < workers) {
      sigset_t all, before;  // signals are for the program's own threads, but for faults of the thread itself
      sigfillset(&all);
      for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGPROF}) sigdelset(&all, fault);
      pthread_sigmask(SIG_SETMASK, &all, &before);
      try {
        std::thread([this, number = started_ + 1] { live(number); }).detach();
        ++started_;
      } catch (const std::exception&) {
        workers = started_;  // those there are do all of it
      }
      pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
  }

  void live(int number) {
    Worker& self = workers_[static_cast<std::size_t>(number)];
    pthread_getcpuclockid(pthread_self(), &self.clock);
    self.id = gettid();
    std::uint32_t seen = 0;
    for (;;) {
      if (!spin(generation_, seen)) {
        ++sleepers_;
        generation_.wait(seen);
        --sleepers_;
      }
      seen = generation_.load(std::memory_order_acquire);
      make_room_for_caller(self);
      if (!enter()) continue;
      self.inside.store(true, std::memory_order_release);
      if (number < participants_) work(number);
      self.inside.store(false, std::memory_order_relaxed);
      if (inside_.fetch_sub(1, std::memory_order_acq_rel) == 1) {  // the last, and it is closed
        const std::lock_guard lock(left_mutex_);
        left_.notify_one();
      }
      make_room_for_caller(self);
    }
  }

  /// On the caller's processor a thread of the pool only takes time from it, and the system leaves it there where no
  /// processor is idle. A thread that was fetched there is bound to it until now.
  void make_room_for_caller(Worker& self) const {
    const int taken = caller_processor_.load(std::memory_order_relaxed);
    if (!self.fetched.exchange(false) && (taken < 0 || sched_getcpu() != taken)) return;
    cpu_set_t others = allowed_;
    CPU_CLR(static_cast<std::size_t>(std::max(taken, 0)), &others);
    if (CPU_COUNT(&others) > 0) sched_setaffinity(0, sizeof others, &others);
  }

  /// The processor time of each thread that is in the loop, in ns; -1: of one that is not.
  using Clocks = std::array<std::int64_t, most_threads>;
  void read(Clocks& clocks) const {
    for (int i = 1; i <= started_; ++i) {
      const Worker& worker = workers_[static_cast<std::size_t>(i)];
      timespec time{};
      const bool runs = worker.inside.load(std::memory_order_acquire) && clock_gettime(worker.clock, &time) == 0;
      clocks[static_cast<std::size_t>(i)] = runs ? time.tv_sec * 1'000'000'000 + time.tv_nsec : -1;
    }
  }

  /// Takes the threads whose clocks have stood still since `before`, put aside in the middle of a piece, to this
  /// thread's processor, which has nothing else to do.
  void fetch_put_aside(const Clocks& before) {
    Clocks now;
    read(now);
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(static_cast<std::size_t>(std::max(sched_getcpu(), 0)), &here);
    for (int i = 1; i <= started_; ++i) {
      const auto k = static_cast<std::size_t>(i);
      constexpr std::int64_t reading = 1000;  // ns, which may pass between two threads' readings
      if (before[k] < 0 || now[k] < 0 || now[k] - before[k] > reading) continue;
      sched_setaffinity(workers_[k].id, sizeof here, &here);
      workers_[k].fetched = true;  // last: a thread that is through by now sees it in the next loop
    }
  }

  bool enter() {
    std::uint32_t inside = inside_.load(std::memory_order_relaxed);
    while ((inside & opened) != 0) {
      if (inside_.compare_exchange_weak(inside, inside + 1, std::memory_order_acquire)) return true;
    }
    return false;
  }

  void open(std::int64_t pieces) {
    caller_processor_.store(sched_getcpu(), std::memory_order_relaxed);
    inside_.store(opened, std::memory_order_release);
    ++generation_;
    if (pieces < worth_waking) return;
    // Where there are more threads than this loop may have, any of them might be woken: wake them all.
    const std::int64_t wanted = started_ < participants_ ? pieces - 1 : started_;
    const std::int64_t asleep = std::min<std::int64_t>(sleepers_.load(), wanted);
    for (std::int64_t i = 0; i < asleep; ++i) generation_.notify_one();
  }

  /// Nobody enters any more; waits for those inside.
  void close() {
    std::uint32_t inside = inside_.fetch_and(~opened, std::memory_order_acq_rel) & ~opened;
    while (inside != 0 && spin(inside_, inside)) inside = inside_.load(std::memory_order_acquire);
    if (inside == 0) return;
    std::unique_lock lock(left_mutex_);
    for (Clocks before; read(before), !left_.wait_for(lock, patience, [&] { return inside_ == 0; });) {
      fetch_put_aside(before);
    }
  }

  /// All pieces of the own share, then what is left of the others'.
  void work(int number) {
    serial = true;
    for (int i = 0; i < participants_; ++i) {
      Share& share = shares_[static_cast<std::size_t>((number + i) % participants_)];
      while (share.next.load(std::memory_order_relaxed) < share.end) {
        const std::int64_t piece = share.next.fetch_add(1, std::memory_order_relaxed);
        if (piece < share.end) run_piece(piece, number);
      }
    }
    serial = false;
  }

  void run_piece(std::int64_t piece, int number) {
    if (failed_.load(std::memory_order_relaxed)) return;
    try {
      function_(body_, piece * grain_, std::min(n_, (piece + 1) * grain_), number);
    } catch (...) {
      const std::lock_guard lock(error_mutex_);
      if (piece < failed_piece_) {
        failed_piece_ = piece;
        error_ = std::current_exception();
      }
      failed_ = true;
    }
  }

  std::mutex mutex_;
  int started_ = 0;  // threads: workers_[1] to workers_[started_]
  std::array<Worker, most_threads> workers_;
  cpu_set_t allowed_ = allowed_processors();  // to this process
  std::atomic<int> caller_processor_{-1};

  // The loop that is running.
  std::int64_t n_ = 0, grain_ = 1;
  detail::RangeFunction function_ = nullptr;
  void* body_ = nullptr;
  int participants_ = 0;
  std::array<Share, most_threads> shares_;

  std::mutex left_mutex_;
  std::condition_variable left_;

  std::mutex error_mutex_;
  std::exception_ptr error_;
  std::int64_t failed_piece_ = 0;
  std::atomic<bool> failed_ = false;

  alignas(64) std::atomic<std::uint32_t> generation_{0};  // of loops
  alignas(64) std::atomic<std::uint32_t> inside_{0};      // threads besides the caller's, and `opened`
  alignas(64) std::atomic<int> sleepers_{0};
};

Pool& pool() {
  static Pool& instance = *new Pool;
  return instance;
}

/// Inside another loop, in a SerialScope, beside another thread's loop.
void run_serially(std::int64_t n, std::int64_t grain, detail::RangeFunction run, void* body) {
  for (std::int64_t begin = 0; begin < n; begin += grain) run(body, begin, std::min(n, begin + grain), 0);
}

}  // namespace

void set_threads(int count) {
  SIMCLR_CHECK(count >= 1, "threads: ", count, ", at least 1 is needed");
  thread_count() = std::min(count, most_threads);
}

int threads() {
  return thread_count();
}

SerialScope::SerialScope() : previous_(serial) {
  serial = true;
}

SerialScope::~SerialScope() {
  serial = previous_;
}

void detail::parallel_for(std::int64_t n, std::int64_t grain, RangeFunction run, void* body) {
  grain = std::max<std::int64_t>(grain, 1);
  const int count = threads();
  if (n <= grain || count == 1 || serial || !pool().run(n, grain, run, body, count)) run_serially(n, grain, run, body);
}

}  // namespace simclr
