#pragma once

#include <simclr/core/context.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace simclr {

/// A block of memory on one device, shared by the tensors that view it.
class SIMCLR_API Storage {
 public:
  /// Takes uninitialised memory from the context's allocator and gives it back at the end.
  Storage(std::size_t bytes, const Context& context);
  /// Wraps memory that someone else owns; `deleter`, if any, runs at the end and must not throw.
  Storage(void* data, std::size_t bytes, Device device, std::function<void(void*)> deleter);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  std::byte* data() const { return static_cast<std::byte*>(data_); }
  std::size_t bytes() const { return bytes_; }
  Device device() const { return device_; }
  /// Whether the memory is this one's own, to be given back to an allocator.
  bool owns_memory() const { return allocator_ != nullptr; }

  /// The same values as bf16, element for element, where somebody computes with them so (see shadow() in
  /// parameter_memory.h).
  const std::shared_ptr<Storage>& shadow() const { return shadow_; }
  void set_shadow(std::shared_ptr<Storage> shadow) { shadow_ = std::move(shadow); }

  /// How often values were written in place (see mark_changed() in parameter_memory.h).
  std::uint64_t version() const { return version_; }
  void mark_changed() { ++version_; }

 private:
  void* data_;
  std::size_t bytes_;
  Device device_;
  std::shared_ptr<Allocator> allocator_;  // null for wrapped memory
  std::function<void(void*)> deleter_;
  std::shared_ptr<Storage> shadow_;
  std::atomic<std::uint64_t> version_ = 0;
};

}  // namespace simclr
