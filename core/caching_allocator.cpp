#include <simclr/core/caching_allocator.h>
#include <simclr/core/error.h>

#include <algorithm>
#include <bit>
#include <new>

namespace simclr {
namespace {

constexpr std::size_t smallest = 256;

// Sizes are rounded to eight steps an octave, so that nearly equal requests share blocks (at most 1/8 is lost).
std::size_t rounded(std::size_t bytes) {
  bytes = std::max(bytes, smallest);
  const std::size_t step = std::max(smallest, std::bit_floor(bytes) / 8);
  return (bytes + step - 1) / step * step;
}

}  // namespace

CachingAllocator::CachingAllocator(std::unique_ptr<MemorySource> source) : source_(std::move(source)) {}

CachingAllocator::~CachingAllocator() {
  trim();
}

void* CachingAllocator::allocate(std::size_t bytes) {
  const std::size_t size = rounded(bytes);
  const std::lock_guard lock(mutex_);
  void* block = nullptr;
  auto& free = free_[open_][size];
  if (!free.empty()) {
    block = free.back();
    free.pop_back();
  } else {
    block = source_->take(size);
    if (block == nullptr) {
      trim_locked();
      block = source_->take(size);
    }
    if (block == nullptr) {
      fail<OutOfMemory>("out of memory ", source_->describe(), ": asked for ", bytes, " bytes with ", stats_.in_use,
                        " bytes in use; lower the batch size or the model's width");
    }
    stats_.reserved += size;
    if (open_ != 0) private_pool_.emplace(block, open_);
  }
  stats_.in_use += size;
  stats_.peak = std::max(stats_.peak, stats_.in_use);
  return block;
}

void CachingAllocator::release(void* block, std::size_t bytes) noexcept {
  const std::size_t size = rounded(bytes);
  const std::lock_guard lock(mutex_);
  stats_.in_use -= size;
  const auto found = private_pool_.find(block);
  try {
    free_[found == private_pool_.end() ? 0 : found->second][size].push_back(block);
  } catch (const std::bad_alloc&) {
    if (found != private_pool_.end()) private_pool_.erase(found);
    source_->give_back(block);
    stats_.reserved -= size;
  }
}

MemoryStats CachingAllocator::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void CachingAllocator::reset_peak() {
  const std::lock_guard lock(mutex_);
  stats_.peak = stats_.in_use;
}

void CachingAllocator::trim() noexcept {
  const std::lock_guard lock(mutex_);
  trim_locked();
}

void CachingAllocator::trim_locked() noexcept {
  const auto common = free_.find(0);
  if (common == free_.end()) return;
  for (auto& [size, blocks] : common->second) {
    for (void* block : blocks) {
      source_->give_back(block);
      stats_.reserved -= size;
    }
    blocks.clear();
  }
}

std::uint64_t CachingAllocator::open_pool() {
  const std::lock_guard lock(mutex_);
  SIMCLR_CHECK(open_ == 0, "allocator: a private pool is open already; close it first");
  return open_ = ++last_pool_;
}

void CachingAllocator::close_pool() {
  const std::lock_guard lock(mutex_);
  open_ = 0;
}

void CachingAllocator::drop_pool(std::uint64_t pool) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = free_.find(pool);
  if (found != free_.end()) {
    for (auto& [size, blocks] : found->second) {
      for (void* block : blocks) {  // no room to keep it: the system takes it
        try {
          free_[0][size].push_back(block);
        } catch (const std::bad_alloc&) {
          source_->give_back(block);
          stats_.reserved -= size;
        }
      }
    }
    free_.erase(pool);
  }
  std::erase_if(private_pool_, [pool](const auto& entry) { return entry.second == pool; });
}

}  // namespace simclr
