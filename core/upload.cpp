#include <simclr/core/runtime.h>
#include <simclr/core/upload.h>

#include <array>

namespace simclr {
namespace {

struct Staging {
  Tensor values;
  std::unique_ptr<Upload::Transfer> transfer;  // goes first; null: this device copies at once

  void fit(const Tensor& like, Device device) {
    if (values.defined() && values.shape() == like.shape() && values.dtype() == like.dtype()) return;
    transfer.reset();
    values = Tensor::empty(like.shape(), like.dtype(), device);
    const RuntimeKernels& runtime = runtime_slot.on(device);
    if (runtime.upload != nullptr && values.numel() > 0) {
      transfer = runtime.upload(Context::of(device), values.raw_data(), values.bytes());
    }
  }
};

}  // namespace

struct Upload::State {
  Device device;
  std::array<Staging, 2> staging = {};
  std::size_t started = 0, finished = 0;
};

Upload::Upload(Device device) : state_(std::make_unique<State>(State{.device = device})) {}
Upload::~Upload() = default;
Upload::Upload(Upload&&) noexcept = default;
Upload& Upload::operator=(Upload&&) noexcept = default;

void Upload::start(const Tensor& values) {
  SIMCLR_CHECK(values.device() == Device{}, "upload: values come from the CPU, got ", describe(values));
  SIMCLR_CHECK(under_way() < 2, "upload: two are under way; call finish() first");
  Staging& staging = state_->staging[state_->started % 2];
  staging.fit(values, state_->device);
  if (staging.transfer) {
    staging.transfer->start(values.raw_data());
  } else {
    staging.values.copy_from(values);
  }
  ++state_->started;
}

void Upload::finish(Tensor& to) {
  SIMCLR_CHECK(under_way() > 0, "upload: none is under way; call start() first");
  Staging& staging = state_->staging[state_->finished % 2];
  SIMCLR_CHECK(to.device() == state_->device && to.shape() == staging.values.shape(), "upload: ", describe(to), " for ",
               describe(staging.values));
  if (staging.transfer) staging.transfer->arrive();
  to.copy_from(staging.values);
  if (staging.transfer) staging.transfer->read();
  ++state_->finished;
}

int Upload::under_way() const {
  return static_cast<int>(state_->started - state_->finished);
}

}  // namespace simclr
