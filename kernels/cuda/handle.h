#pragma once

// Private: a vendor library's handle, which one thread at a time may use. Apart from the runtime, so that it can be
// tested anywhere.

#include <mutex>
#include <optional>
#include <utility>

namespace simclr::cuda {

/// A handle for as long as a thread uses it: others wait.
template <class Handle>
class HandleUse {
 public:
  HandleUse(std::unique_lock<std::mutex> lock, Handle handle) : lock_(std::move(lock)), handle_(handle) {}
  operator Handle() const { return handle_; }

 private:
  std::unique_lock<std::mutex> lock_;
  Handle handle_;
};

/// A handle that is made at its first use. Never destroyed: the driver may be gone before static objects are.
template <class Handle>
class LockedHandle {
 public:
  /// `make` returns the new handle; where it throws, the next use tries again.
  template <class Make>
  HandleUse<Handle> use(Make&& make) {
    std::unique_lock lock(mutex_);
    if (!handle_) handle_ = make();
    return {std::move(lock), *handle_};
  }

 private:
  std::mutex mutex_;
  std::optional<Handle> handle_;
};

}  // namespace simclr::cuda
