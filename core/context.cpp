#include <simclr/core/context.h>
#include <simclr/core/error.h>

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

namespace simclr {
namespace {

constexpr std::size_t alignment = 256;
constexpr std::size_t huge_page = std::size_t{2} << 20;

// Sizes are rounded to eight steps an octave, so that nearly equal requests share blocks (at most 1/8 is lost).
std::size_t rounded(std::size_t bytes) {
  bytes = std::max(bytes, alignment);
  const std::size_t step = std::max(alignment, std::bit_floor(bytes) / 8);
  return (bytes + step - 1) / step * step;
}

class HostAllocator final : public Allocator {
 public:
  ~HostAllocator() override { trim(); }

  void* allocate(std::size_t bytes) override {
    const std::size_t size = rounded(bytes);
    const std::lock_guard lock(mutex_);
    void* block = nullptr;
    auto& free = free_[size];
    if (!free.empty()) {
      block = free.back();
      free.pop_back();
    } else {
      block = from_system(size);
      if (block == nullptr) {
        trim_locked();
        block = from_system(size);
      }
      SIMCLR_CHECK(block != nullptr, "out of memory on cpu: asked for ", bytes, " bytes with ", stats_.in_use,
                   " bytes in use; lower the batch size or the model's width");
      stats_.reserved += size;
    }
    stats_.in_use += size;
    stats_.peak = std::max(stats_.peak, stats_.in_use);
    return block;
  }

  void release(void* block, std::size_t bytes) noexcept override {
    const std::size_t size = rounded(bytes);
    const std::lock_guard lock(mutex_);
    stats_.in_use -= size;
    try {
      free_[size].push_back(block);
    } catch (const std::bad_alloc&) {
      std::free(block);
      stats_.reserved -= size;
    }
  }

  MemoryStats stats() const override {
    const std::lock_guard lock(mutex_);
    return stats_;
  }

  void reset_peak() override {
    const std::lock_guard lock(mutex_);
    stats_.peak = stats_.in_use;
  }

  void trim() noexcept override {
    const std::lock_guard lock(mutex_);
    trim_locked();
  }

 private:
  static void* from_system(std::size_t size) {
    const std::size_t align = size >= huge_page ? huge_page : alignment;
    void* block = std::aligned_alloc(align, (size + align - 1) / align * align);
    if (block != nullptr && size >= huge_page) madvise(block, size, MADV_HUGEPAGE);  // a wish: failure costs only speed
    return block;
  }

  void trim_locked() noexcept {
    for (auto& [size, blocks] : free_) {
      for (void* block : blocks) {
        std::free(block);
        stats_.reserved -= size;
      }
      blocks.clear();
    }
  }

  mutable std::mutex mutex_;
  std::unordered_map<std::size_t, std::vector<void*>> free_;
  MemoryStats stats_;
};

}  // namespace

std::unique_ptr<Allocator> make_host_allocator() {
  return std::make_unique<HostAllocator>();
}

Context::Context(Device device, std::shared_ptr<Allocator> allocator, void* stream)
    : device_(device), allocator_(std::move(allocator)), stream_(stream) {}

Context& Context::of(Device device) {
  SIMCLR_CHECK(device.type == DeviceType::cpu, "device: this build has no ", device, " support; use cpu");
  static Context cpu(Device{}, make_host_allocator());
  return cpu;
}

}  // namespace simclr
