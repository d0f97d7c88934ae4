#include <simclr/core/error.h>
#include <simclr/core/parallel.h>

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>

namespace simclr {
namespace {

thread_local bool serial = false;

std::atomic<int>& thread_count() {
  static std::atomic<int> count{omp_get_max_threads()};
  return count;
}

// OpenMP gives every host thread that opens a region a pool of its own; two such pools on the same
// processors are slower than one after the other.
std::mutex& region_mutex() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace

void set_threads(int count) {
  SIMCLR_CHECK(count >= 1, "threads: ", count, ", at least 1 is needed");
  thread_count() = count;
  omp_set_num_threads(count);  // oneDNN and Eigen read this
}

int threads() {
  return thread_count();
}

SerialScope::SerialScope() : previous_(serial) {
  serial = true;
  omp_set_num_threads(1);  // this thread's own setting: Eigen inside it stays serial too
}

SerialScope::~SerialScope() {
  serial = previous_;
  if (!previous_) omp_set_num_threads(thread_count());
}

void detail::parallel_for(std::int64_t n, std::int64_t grain, RangeFunction run, void* body) {
  if (n <= 0) return;
  const std::int64_t pieces =
      std::min<std::int64_t>(threads(), (n + std::max<std::int64_t>(grain, 1) - 1) / std::max<std::int64_t>(grain, 1));
  if (pieces <= 1 || serial || omp_in_parallel()) {
    run(body, 0, n);
    return;
  }
  const std::lock_guard lock(region_mutex());
  std::exception_ptr error;
  std::mutex error_mutex;
#pragma omp parallel num_threads(static_cast <int>(pieces))
  {
    const std::int64_t count = omp_get_num_threads();
    const std::int64_t index = omp_get_thread_num();
    const std::int64_t begin = n * index / count;
    const std::int64_t end = n * (index + 1) / count;
    // Marked by hand: a team of one, which OpenMP may grant, does not count as parallel for it.
    const bool outer = serial;
    serial = true;
    try {
      if (begin < end) run(body, begin, end);
    } catch (...) {
      const std::lock_guard error_lock(error_mutex);
      if (!error) error = std::current_exception();
    }
    serial = outer;
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace simclr
