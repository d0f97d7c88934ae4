#include <simclr/core/storage.h>

#include <utility>

namespace simclr {

Storage::Storage(std::size_t bytes, const Context& context)
    : data_(context.allocator().allocate(bytes)),
      bytes_(bytes),
      device_(context.device()),
      allocator_(context.shared_allocator()) {}

Storage::Storage(void* data, std::size_t bytes, Device device, std::function<void(void*)> deleter)
    : data_(data), bytes_(bytes), device_(device), deleter_(std::move(deleter)) {}

Storage::~Storage() {
  if (allocator_) {
    allocator_->release(data_, bytes_);
  } else if (deleter_) {
    deleter_(data_);
  }
}

}  // namespace simclr
