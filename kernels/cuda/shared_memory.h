#pragma once

// Private: how much dynamic shared memory a kernel may be launched with. Apart from the runtime, so that it can be
// tested anywhere.

#include <cstddef>
#include <map>
#include <mutex>
#include <utility>

namespace simclr::cuda {

/// The limits that were set, by device and kernel. The driver keeps one a kernel, which counts when a launch is queued:
/// a thread that lowered it would make another's launch fail. Thread-safe.
class SharedMemoryLimits {
 public:
  static constexpr std::size_t without_asking = 48 << 10;

  /// Sees to it that `kernel` may have `bytes`: calls raise(bytes) where its limit is lower.
  template <class Raise>
  void reserve(int device, const void* kernel, std::size_t bytes, Raise&& raise) {
    if (bytes <= without_asking) return;
    const std::lock_guard lock(mutex_);
    const auto key = std::make_pair(device, kernel);
    const auto known = limits_.find(key);
    if (known != limits_.end() && bytes <= known->second) return;
    raise(bytes);  // may throw; then the limit is what it was
    limits_[key] = bytes;
  }

 private:
  std::mutex mutex_;
  std::map<std::pair<int, const void*>, std::size_t> limits_;
};

}  // namespace simclr::cuda
