#pragma once

#include <simclr/core/input.h>
#include <simclr/data/loader.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

/// Where a training run's views come from: made on the host, or on the device by the step itself.
/// Both give the same views for the same seed.
class ViewSource {
 public:
  virtual ~ViewSource() = default;
  /// Batches in one epoch.
  virtual std::int64_t batches() const = 0;
  /// Starts the pass number `epoch`, from batch number `first_batch` on.
  virtual void begin(std::uint32_t epoch, std::int64_t first_batch) = 0;
  /// Goes to the next batch; false at the end of the epoch.
  virtual bool next() = 0;
  /// Starts to fetch the batch after that. To be called once the step on the current one is queued: the host may have
  /// to wait for the next views, and meanwhile the device has work.
  virtual void prefetch() {}
  /// The current batch on the device, one input a tower (data::Batch). Part of a step that may be captured.
  virtual std::vector<simclr::Input> towers() = 0;
  /// The labels [B] of the current batch's samples; empty: this source has none.
  virtual const std::vector<std::int32_t>& labels() const;
  /// Which samples could not be read, in rising order.
  virtual std::vector<std::int64_t> skipped() const = 0;
  /// "on cuda:0" or "on the host", for messages.
  virtual std::string where() const = 0;
};

/// Views that `loader` makes on the host, for a device. `dtype` is what views of f32 become there; those of an integer
/// type, token ids say, stay as they are.
std::unique_ptr<ViewSource> host_view_source(simclr::data::Loader loader, simclr::Device device, simclr::DType dtype);

struct ViewSourceOptions {
  std::int64_t batch_size = 256;  // samples, not views; of all ranks together
  simclr::data::Shard shard = {};
  int views = 0;                   // of each sample, of one tower; 0: as the modality says
  std::uint64_t seed = 0;          // of the order and of the views
  std::int64_t shuffle_block = 0;  // of the order: data::LoaderOptions
  int workers = 0;                 // threads that make views ahead on the host
  simclr::Device device = {};
  simclr::DType dtype = simclr::DType::f32;                         // of views of f32
  std::function<void(const std::string& message)> on_warning = {};  // is told of unreadable samples
  bool if_they_fit = false;  // Modality::on_device(): not where the samples would take more than a few GiB
};

/// Whether all samples would take less than a few GiB on a device, where those of several types are of the widest;
/// judged by some of them, which are read.
bool fit_a_device(const simclr::data::Dataset& samples);
