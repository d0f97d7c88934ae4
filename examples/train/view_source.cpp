#include "train/view_source.h"

#include <simclr/simclr.h>

#include <optional>
#include <utility>

using simclr::Device;
using simclr::DeviceType;
using simclr::DType;
using simclr::Tensor;
namespace data = simclr::data;

namespace {

/// Views that are made on the host.
class HostViews final : public ViewSource {
 public:
  HostViews(data::Loader loader, Device device, DType dtype)
      : loader_(std::move(loader)), device_(device), dtype_(dtype), upload_(device) {}

  std::int64_t batches() const override { return loader_.batches(); }

  void begin(std::uint32_t epoch, std::int64_t first_batch) override {
    run_.emplace(loader_.epoch(epoch, first_batch));
    batch_.reset();
    if (upload_.under_way() > 0) upload_ = simclr::Upload(device_);
  }

  bool next() override {
    if (in_place()) {
      views_ = {};  // its memory serves the next batch
      if (!advance()) return false;
      views_ = (*batch_)->views;
      return true;
    }
    fetch();
    if (upload_.under_way() == 0) return false;
    if (!views_.defined()) views_ = Tensor::empty((*batch_)->views.shape(), dtype_, device_);
    upload_.finish(views_);  // always to one place, which a captured step reads again and again
    return true;
  }

  void prefetch() override {
    if (!in_place()) fetch();
  }

  Tensor views() override { return views_; }
  std::int64_t skipped() const override { return loader_.skipped(); }
  std::string where() const override { return "on the host"; }

 private:
  bool in_place() const { return device_ == Device{} && dtype_ == DType::f32; }

  bool advance() {
    const simclr::ProfileScope scope("wait for views");
    if (!batch_) {
      batch_.emplace(run_->begin());
    } else if (*batch_ != std::default_sentinel) {
      ++*batch_;
    }
    return *batch_ != std::default_sentinel;
  }

  /// Sees to it that the next batch is under way, if there is one. Waits for the loader, not for the device.
  void fetch() {
    if (upload_.under_way() == 0 && advance()) upload_.start((*batch_)->views.to(dtype_));
  }

  data::Loader loader_;
  Device device_;
  DType dtype_;
  std::optional<data::Epoch> run_;
  std::optional<data::Epoch::Iterator> batch_;
  simclr::Upload upload_;
  Tensor views_;
};

class DeviceViews final : public ViewSource {
 public:
  DeviceViews(data::DeviceLoader loader, Device device) : loader_(std::move(loader)), device_(device) {}

  std::int64_t batches() const override { return loader_.batches(); }
  void begin(std::uint32_t epoch, std::int64_t first_batch) override { loader_.begin(epoch, first_batch); }
  bool next() override { return loader_.next(); }
  Tensor views() override { return loader_.views(); }
  std::int64_t skipped() const override { return loader_.skipped(); }
  std::string where() const override { return "on " + to_string(device_); }

 private:
  data::DeviceLoader loader_;
  Device device_;
};

/// Whether all pictures would take less than a few GiB, judged by some of them.
bool fit_a_device(const data::Dataset& pictures) {
  constexpr double most_bytes = 8e9;
  constexpr std::int64_t looked_at = 64;
  double bytes = 0;
  std::int64_t read = 0;
  for (std::int64_t k = 0; k < std::min(looked_at, pictures.size()); ++k) {
    try {
      bytes += static_cast<double>(pictures.sample(k * pictures.size() / looked_at % pictures.size()).bytes.size());
      ++read;
    } catch (const simclr::Error&) {  // whoever reads it for training reports it
    }
  }
  return read > 0 && bytes / static_cast<double>(read) * static_cast<double>(pictures.size()) < most_bytes;
}

}  // namespace

std::unique_ptr<ViewSource> make_view_source(std::shared_ptr<const data::Dataset> pictures, const TrainingOptions& o,
                                             Device device, DType dtype,
                                             const std::function<void(const std::string&)>& on_warning) {
  const Recipe& r = o.recipe;
  const bool on_device =
      o.views_on == "device" || (o.views_on == "auto" && device.type != DeviceType::cpu && fit_a_device(*pictures));
  if (on_device) {
    return std::make_unique<DeviceViews>(
        data::DeviceLoader(*pictures, r.augmentation, device,
                           {.batch_size = r.batch_size, .seed = o.seed, .dtype = dtype, .on_warning = on_warning}),
        device);
  }
  return std::make_unique<HostViews>(
      data::Loader(std::move(pictures), std::make_shared<data::PictureViews>(r.augmentation),
                   {.batch_size = r.batch_size, .seed = o.seed, .workers = o.workers, .on_warning = on_warning}),
      device, dtype);
}
