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
  const auto open = open_.find(std::this_thread::get_id());
  const std::uint64_t pool = open == open_.end() ? 0 : open->second;
  void* block = nullptr;
  auto& free = free_[pool][size];
  if (!free.empty()) {
    block = free.back();
    free.pop_back();
  } else {
    block = source_->take(size);
    if (block == nullptr && open_.empty()) {
      trim_locked();
      block = source_->take(size);
    }
    if (block == nullptr) {
      fail<OutOfMemory>("out of memory ", source_->describe(), ": asked for ", bytes, " bytes with ", stats_.in_use,
                        " bytes in use; lower the batch size or the model's width");
    }
    stats_.reserved += size;
    if (pool != 0) private_pool_.emplace(block, pool);
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
  const std::uint64_t pool = found == private_pool_.end() ? 0 : found->second;
  if (!keep_free(pool, block, size) && pool != 0) private_pool_.erase(found);
}

/// False where there was no room to remember the block, so that it went back to the source.
bool CachingAllocator::keep_free(std::uint64_t pool, void* block, std::size_t size) noexcept {
  try {
    free_[pool][size].push_back(block);
  } catch (const std::bad_alloc&) {
    if (!open_.empty()) return true;  // lost: nothing may go back now
    source_->give_back(block);
    stats_.reserved -= size;
    return false;
  }
  return true;
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
  if (open_.empty()) {
    trim_locked();
  } else {
    trim_at_close_ = true;
  }
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
  const auto thread = std::this_thread::get_id();
  SIMCLR_CHECK(!open_.contains(thread), "allocator: a private pool is open already; close it first");
  if (open_.empty()) trim_locked();
  open_.emplace(thread, last_pool_ + 1);
  return ++last_pool_;
}

void CachingAllocator::close_pool() noexcept {
  const std::lock_guard lock(mutex_);
  open_.erase(std::this_thread::get_id());
  if (trim_at_close_ && open_.empty()) {
    trim_locked();
    trim_at_close_ = false;
  }
}

void CachingAllocator::drop_pool(std::uint64_t pool) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = free_.find(pool);
  if (found != free_.end()) {
    for (auto& [size, blocks] : found->second) {
      for (void* block : blocks) keep_free(0, block, size);
    }
    free_.erase(pool);
  }
  std::erase_if(private_pool_, [pool](const auto& entry) { return entry.second == pool; });
}

}  // namespace simclr
