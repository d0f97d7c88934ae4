#include "train/view_source.h"

#include <simclr/simclr.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

using simclr::Device;
using simclr::DType;
using simclr::Input;
using simclr::Tensor;
namespace data = simclr::data;

namespace {

/// One tower's batches on their way to a device.
class TowerUpload {
 public:
  explicit TowerUpload(Device device) : device_(device), x_(device), lengths_(device), keys_(device), groups_(device) {}

  void start(const Input& input, DType dtype) {
    const Tensor x = simclr::is_floating(input.x.dtype()) ? input.x.to(dtype) : input.x;
    // A captured step is the same for all batches, so that lengths are there for each of them.
    const Tensor lengths = input.lengths.defined()
                               ? input.lengths
                               : Tensor::full({input.rows()}, static_cast<double>(x.dim(1)), DType::i32);
    if (!arrived_.x.defined() || arrived_.x.shape() != x.shape()) {
      const auto place = [this](const Tensor& like) { return Tensor::empty(like.shape(), like.dtype(), device_); };
      arrived_ = {place(x), place(lengths), place(input.keys), input.groups.defined() ? place(input.groups) : Tensor()};
    }
    x_.start(x);
    lengths_.start(lengths);
    keys_.start(input.keys);
    if (input.groups.defined()) groups_.start(input.groups);  // a data set has them, or has them not
  }

  /// Always to one place, which a captured step reads again and again.
  const Input& finish() {
    x_.finish(arrived_.x);
    lengths_.finish(arrived_.lengths);
    keys_.finish(arrived_.keys);
    if (arrived_.groups.defined()) groups_.finish(arrived_.groups);
    return arrived_;
  }

  /// Gives up what is under way.
  void reset() {
    if (x_.under_way() == 0) return;
    for (simclr::Upload* upload : {&x_, &lengths_, &keys_, &groups_}) *upload = simclr::Upload(device_);
  }

  int under_way() const { return x_.under_way(); }

 private:
  Device device_;
  simclr::Upload x_, lengths_, keys_, groups_;
  Input arrived_;
};

/// Views that are made on the host.
class HostViews final : public ViewSource {
 public:
  HostViews(data::Loader loader, Device device, DType dtype)
      : loader_(std::move(loader)), device_(device), dtype_(dtype) {
    for (std::size_t i = 0; i < loader_.towers().size(); ++i) uploads_.emplace_back(device);
  }

  std::int64_t batches() const override { return loader_.batches(); }

  void begin(std::uint32_t epoch, std::int64_t first_batch) override {
    run_.emplace(loader_.epoch(epoch, first_batch));
    batch_.reset();
    for (TowerUpload& upload : uploads_) upload.reset();
  }

  bool next() override {
    towers_.clear();  // in place: its memory serves the next batch
    if (in_place()) {
      if (!advance()) return false;
      towers_ = (*batch_)->towers;
      labels_ = (*batch_)->labels;
      return true;
    }
    fetch();
    if (!under_way()) return false;
    labels_ = (*batch_)->labels;
    for (TowerUpload& upload : uploads_) towers_.push_back(upload.finish());
    return true;
  }

  void prefetch() override {
    if (!in_place()) fetch();
  }

  std::vector<Input> towers() override { return towers_; }
  const std::vector<std::int32_t>& labels() const override { return labels_; }
  std::vector<std::int64_t> skipped() const override { return loader_.skipped_samples(); }
  std::string where() const override { return "on the host"; }

 private:
  bool in_place() const { return device_ == Device{} && dtype_ == DType::f32; }
  bool under_way() const { return uploads_.front().under_way() > 0; }

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
    if (under_way() || !advance()) return;
    for (std::size_t i = 0; i < uploads_.size(); ++i) uploads_[i].start((*batch_)->towers[i], dtype_);
  }

  data::Loader loader_;
  Device device_;
  DType dtype_;
  std::optional<data::Epoch> run_;
  std::optional<data::Epoch::Iterator> batch_;
  std::vector<TowerUpload> uploads_;
  std::vector<Input> towers_;
  std::vector<std::int32_t> labels_;
};

}  // namespace

const std::vector<std::int32_t>& ViewSource::labels() const {
  static const std::vector<std::int32_t> none;
  return none;
}

std::unique_ptr<ViewSource> host_view_source(data::Loader loader, Device device, DType dtype) {
  return std::make_unique<HostViews>(std::move(loader), device, dtype);
}

bool fit_a_device(const data::Dataset& samples) {
  constexpr double most_bytes = 8e9;
  constexpr std::int64_t looked_at = 64;
  const auto parts = static_cast<std::size_t>(samples.parts());
  std::vector<double> values(parts), widest(parts);  // of each part: all that is read, and the bytes of a value
  std::int64_t read = 0;
  for (std::int64_t k = 0; k < std::min(looked_at, samples.size()); ++k) {
    try {
      std::vector<data::Sample> sample;
      for (int part = 0; part < samples.parts(); ++part) {
        sample.push_back(samples.sample(k * samples.size() / looked_at % samples.size(), part));
      }
      for (std::size_t p = 0; p < parts; ++p) {
        const auto bytes_each = static_cast<double>(simclr::size_of(sample[p].dtype));
        values[p] += static_cast<double>(sample[p].bytes.size()) / bytes_each;
        widest[p] = std::max(widest[p], bytes_each);
      }
      ++read;
    } catch (const simclr::Error&) {  // whoever reads it for training reports it
    }
  }
  const double bytes = std::inner_product(values.begin(), values.end(), widest.begin(), 0.0);
  return read > 0 && bytes / static_cast<double>(read) * static_cast<double>(samples.size()) < most_bytes;
}
