#pragma once

#include <simclr/core/context.h>

#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace simclr {

/// Where a caching allocator gets its memory: the system, or a device's driver.
class SIMCLR_API MemorySource {
 public:
  virtual ~MemorySource() = default;
  /// Null when there is no memory left.
  virtual void* take(std::size_t bytes) = 0;
  virtual void give_back(void* block) noexcept = 0;
  /// For the message of a failure: "on cuda:0 (1.2 GiB free of 80.0)".
  virtual std::string describe() const = 0;
};

/// Keeps released blocks for reuse: a training step asks for the same sizes again and again, and fresh memory is slow
/// (a page fault each on the host, a wait for the device on CUDA). A block may be handed out again as soon as it is
/// released, so all users of one allocator queue their work in one stream.
class SIMCLR_API CachingAllocator final : public Allocator {
 public:
  explicit CachingAllocator(std::unique_ptr<MemorySource> source);
  ~CachingAllocator() override;

  void* allocate(std::size_t bytes) override;
  void release(void* block, std::size_t bytes) noexcept override;
  MemoryStats stats() const override;
  void reset_peak() override;
  /// While a pool is open, the blocks stay until the last one is closed.
  void trim() noexcept override;

  /// From now on this thread's blocks come from a new private pool, and return to it: a captured graph replays into
  /// them, so nobody else may have them. Other threads go on with the common pool. A thread's pools do not nest.
  ///
  /// The common pool's free blocks go back to the source first, or a step that ran before it is captured would take its
  /// memory twice. Until the pool is closed nothing goes back, since freeing ends a capture: where memory runs out,
  /// allocate() throws, whatever the common pool holds.
  std::uint64_t open_pool();
  /// This thread's blocks come from the common pool again; what the private one holds stays in it.
  void close_pool() noexcept;
  /// Gives the pool's blocks to the common one, those still in use when they are released.
  void drop_pool(std::uint64_t pool) noexcept;

 private:
  using FreeBlocks = std::unordered_map<std::size_t, std::vector<void*>>;  // by rounded size

  bool keep_free(std::uint64_t pool, void* block, std::size_t size) noexcept;
  void trim_locked() noexcept;

  std::unique_ptr<MemorySource> source_;
  mutable std::mutex mutex_;
  std::unordered_map<std::uint64_t, FreeBlocks> free_;       // by pool; 0 is the common one
  std::unordered_map<void*, std::uint64_t> private_pool_;    // of blocks that are not of the common pool
  std::unordered_map<std::thread::id, std::uint64_t> open_;  // by the thread that opened it
  std::uint64_t last_pool_ = 0;
  bool trim_at_close_ = false;
  MemoryStats stats_;
};

}  // namespace simclr
