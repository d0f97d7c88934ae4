#include <simclr/core/runtime.h>
#include <simclr/core/upload.h>

#include <utility>

namespace simclr {

Upload::Upload(const Tensor& values, Device device) : values_(Tensor::empty(values.shape(), values.dtype(), device)) {
  SIMCLR_CHECK(values.device() == Device{}, "upload: values come from the CPU, got ", describe(values));
  const RuntimeKernels& runtime = runtime_slot.on(device);
  if (runtime.upload != nullptr && values.numel() > 0) {
    transfer_ = runtime.upload(Context::of(device), values.raw_data(), values_.raw_data(), values.bytes());
  } else {
    values_.copy_from(values);
  }
}

Upload::~Upload() = default;
Upload::Upload(Upload&&) noexcept = default;
Upload& Upload::operator=(Upload&& other) noexcept {
  transfer_ = std::move(other.transfer_);  // ends the old one, before its memory goes
  values_ = std::move(other.values_);
  return *this;
}

const Tensor& Upload::wait() {
  if (transfer_) transfer_->wait();
  return values_;
}

}  // namespace simclr
