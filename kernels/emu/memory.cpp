#include <simclr/core/error.h>
#include <simclr/kernels/emu/device.h>
#include <simclr/kernels/emu/memory.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace simclr::emu {
namespace {

constexpr std::byte guard_fill{0xa5};
constexpr std::size_t alignment = 256;  // as every block of device memory

/// Of the whole device: SIMCLR_EMU_MEMORY bytes, or 64 GiB.
std::size_t capacity() {
  static const std::size_t bytes = [] {
    const char* text = std::getenv("SIMCLR_EMU_MEMORY");
    return text != nullptr ? std::strtoull(text, nullptr, 10) : std::uint64_t{64} << 30;
  }();
  return bytes;
}

struct Block {
  std::size_t bytes = 0;
  std::uint64_t graph = 0;  // the captured step that writes into it
  bool released = false;
};

struct Blocks {
  std::mutex mutex;
  std::map<std::byte*, Block> blocks;
  MemoryStats stats;
};

/// Never destroyed: tensors of static storage may outlive any order of destruction.
Blocks& blocks() {
  static auto* all = new Blocks;
  return *all;
}

std::map<std::byte*, Block>::iterator free_block(Blocks& all, std::map<std::byte*, Block>::iterator found) {
  const auto [block, what] = *found;
  all.stats.reserved -= what.bytes;
  clear_guard(block - guard_bytes);
  clear_guard(block + what.bytes);
  std::free(block - guard_bytes);
  return all.blocks.erase(found);
}

class GuardedAllocator final : public Allocator {
 public:
  void* allocate(std::size_t bytes) override {
    const std::size_t in_use = stats().in_use;
    std::byte* memory = nullptr;
    if (bytes <= capacity() - std::min(in_use, capacity())) {
      const std::size_t whole = (bytes + 2 * guard_bytes + alignment - 1) / alignment * alignment;
      memory = static_cast<std::byte*>(std::aligned_alloc(alignment, whole));
    }
    if (memory == nullptr) {
      fail<OutOfMemory>("out of memory on emu: asked for ", bytes, " bytes with ", in_use,
                        " bytes in use; lower the batch size or the model's width");
    }
    std::byte* block = memory + guard_bytes;
    std::memset(block, 0xff, bytes);  // NaN in every floating dtype
    set_guard(memory);
    set_guard(block + bytes);
    const std::uint64_t graph = captured_graph();
    if (graph != 0) queue([block, bytes] { std::memset(block, 0xff, bytes); });
    Blocks& all = blocks();
    const std::lock_guard lock(all.mutex);
    all.blocks.emplace(block, Block{.bytes = bytes, .graph = graph});
    all.stats.in_use += bytes;
    all.stats.reserved += bytes;
    all.stats.peak = std::max(all.stats.peak, all.stats.in_use);
    return block;
  }

  void release(void* address, std::size_t bytes) noexcept override {
    auto* block = static_cast<std::byte*>(address);
    Blocks& all = blocks();
    const std::lock_guard lock(all.mutex);
    all.stats.in_use -= bytes;
    const auto found = all.blocks.find(block);
    if (found->second.graph != 0) {
      found->second.released = true;
      return;
    }
    free_block(all, found);
  }

  MemoryStats stats() const override {
    Blocks& all = blocks();
    const std::lock_guard lock(all.mutex);
    return all.stats;
  }

  void reset_peak() override {
    Blocks& all = blocks();
    const std::lock_guard lock(all.mutex);
    all.stats.peak = all.stats.in_use;
  }

  void trim() noexcept override {}
};

}  // namespace

std::shared_ptr<Allocator> make_allocator() {
  return std::make_shared<GuardedAllocator>();
}

void end_graph(std::uint64_t graph) noexcept {
  Blocks& all = blocks();
  const std::lock_guard lock(all.mutex);
  for (auto at = all.blocks.begin(); at != all.blocks.end();) {
    const bool own = at->second.graph == graph;
    if (own) at->second.graph = 0;
    at = own && at->second.released ? free_block(all, at) : std::next(at);
  }
}

void clear_guard([[maybe_unused]] std::byte* zone, [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(zone, bytes);
#endif
}

void set_guard(std::byte* zone, std::size_t bytes) {
  clear_guard(zone, bytes);
  std::memset(zone, static_cast<int>(guard_fill), bytes);
#if defined(__SANITIZE_ADDRESS__)
  __asan_poison_memory_region(zone, bytes);
#endif
}

std::ptrdiff_t broken_guard([[maybe_unused]] const std::byte* zone, [[maybe_unused]] std::size_t bytes) {
#if !defined(__SANITIZE_ADDRESS__)  // which sees the access itself, and would object to this look
  const std::byte* end = zone + bytes;
  const std::byte* changed = std::find_if(zone, end, [](std::byte b) { return b != guard_fill; });
  if (changed != end) return changed - zone;
#endif
  return -1;
}

std::string damaged_block() {
  Blocks& all = blocks();
  const std::lock_guard lock(all.mutex);
  std::string message;
  for (const auto& [block, what] : all.blocks) {
    const std::size_t bytes = what.bytes;
    for (std::byte* zone : {block - guard_bytes, block + bytes}) {
      const std::ptrdiff_t at = broken_guard(zone);
      if (at < 0) continue;
      if (message.empty()) {
        message = "wrote out of bounds, to byte " + std::to_string(zone + at - block) + " of a block of " +
                  std::to_string(bytes) + " bytes of global memory";
      }
      set_guard(zone);
    }
  }
  return message;
}

Snapshot::Snapshot() {
  Blocks& all = blocks();
  const std::lock_guard lock(all.mutex);
  for (const auto& [block, what] : all.blocks) copies_.push_back({block, {block, block + what.bytes}});
}

void Snapshot::restore() const {
  for (const Copy& copy : copies_) std::copy(copy.bytes.begin(), copy.bytes.end(), copy.block);
}

std::string Snapshot::difference() const {
  for (const Copy& copy : copies_) {
    const auto [now, then] = std::mismatch(copy.block, copy.block + copy.bytes.size(), copy.bytes.data());
    if (now != copy.block + copy.bytes.size()) {
      return "byte " + std::to_string(now - copy.block) + " of a block of " + std::to_string(copy.bytes.size()) +
             " bytes";
    }
  }
  return "";
}

}  // namespace simclr::emu
