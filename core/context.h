#pragma once

#include <simclr/core/device.h>

#include <cstddef>
#include <memory>

namespace simclr {

/// What an allocator holds, in bytes.
struct MemoryStats {
  std::size_t in_use = 0;    // handed out now
  std::size_t peak = 0;      // the most that was ever handed out since reset_peak()
  std::size_t reserved = 0;  // taken from the system, handed out or kept for reuse
};

/// Memory of one device. Thread-safe. Blocks are aligned to 256 bytes.
class SIMCLR_API Allocator {
 public:
  virtual ~Allocator() = default;
  /// Throws OutOfMemory when the device has none left: what was asked for, what is held, what to lower.
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void release(void* block, std::size_t bytes) noexcept = 0;
  virtual MemoryStats stats() const = 0;
  virtual void reset_peak() = 0;
  /// Gives blocks that nobody uses back to the system.
  virtual void trim() noexcept = 0;
};

/// A caching allocator of host memory (core/caching_allocator.h).
SIMCLR_API std::unique_ptr<Allocator> make_host_allocator();

/// A device, the stream that work on it is queued in, and its memory.
class SIMCLR_API Context {
 public:
  /// The context for `device`. Throws Error when this build or machine has no such device, and says why.
  static Context& of(Device device);

  Context(Device device, std::shared_ptr<Allocator> allocator, void* stream = nullptr);

  Device device() const { return device_; }
  Allocator& allocator() const { return *allocator_; }
  const std::shared_ptr<Allocator>& shared_allocator() const { return allocator_; }
  /// The native stream handle; null where work runs in the calling thread.
  void* stream() const { return stream_; }
  /// Waits until all queued work is done. Throws Error for a fault of that work.
  void synchronize() const;

 private:
  Device device_;
  std::shared_ptr<Allocator> allocator_;
  void* stream_;
};

}  // namespace simclr
