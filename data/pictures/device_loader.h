#pragma once

#include <simclr/core/input.h>
#include <simclr/data/dataset.h>
#include <simclr/data/loader.h>
#include <simclr/kernels/augment.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace simclr::data {

struct DeviceLoaderOptions {
  std::int64_t batch_size = 256;  // pictures, not views; of all ranks together
  Shard shard = {};               // as LoaderOptions has it; every rank holds all pictures
  int views = 2;                  // the loss must be told of other numbers: nn::nt_xent(z, {.views = 3})
  bool shuffle = true;
  std::int64_t shuffle_block = 0;  // as LoaderOptions has it
  std::uint64_t seed = 0;          // of the order and of the views
  DType dtype = DType::f32;        // of the views; bf16 on a GPU
  std::size_t most_bytes = 0;      // that the pictures may take on the device; 0: as many as they are
  /// Is told of each sample that cannot be read or has a warning, while the pictures are loaded. Default: a line to
  /// std::cerr.
  std::function<void(const std::string& message)> on_warning = {};
};

/// A data set of pictures that lives on a device: uploaded once, drawn and augmented there. Gives the views that a
/// Loader with the same seed and policy gives (within 1e-5), without the host.
///
///   for (std::uint32_t epoch = 0; epoch < epochs; ++epoch) {
///     loader.begin(epoch);
///     while (loader.next()) step(loader.views());
///   }
///
/// next() only moves a few numbers in device memory, and views() only queues the augmentation, so a step that calls
/// views() can be captured once and replayed for every batch (core/graph.h).
///
/// A sample that cannot be read is reported, and replaced as a Loader does. The last batch of an epoch is left out
/// where it would be smaller.
class SIMCLR_API DeviceLoader {
 public:
  /// Reads and uploads all pictures. Throws Error where they do not fit `most_bytes`, where more than half cannot be
  /// read, and for impossible options.
  DeviceLoader(const Dataset& dataset, const kernels::AugmentPolicy& policy, Device device,
               const DeviceLoaderOptions& options = {});

  std::int64_t batches() const { return batches_; }
  /// Starts the pass number `epoch` (from 0), from batch number `first_batch` on.
  void begin(std::uint32_t epoch, std::int64_t first_batch = 0);
  /// Goes to the next batch; false at the end of the pass.
  bool next();
  /// The views of the current batch, [views * B, S, S, C], with their keys, and with their groups where the data set
  /// has some: view v of picture i in row v * B + i. Keys and groups are the loader's own memory, which next() writes
  /// anew: call backward() before it.
  Input views() const;
  /// The samples of the current batch, i32 [B] on the device.
  const Tensor& indices() const { return index_; }

  /// How many samples could not be read.
  std::int64_t skipped() const { return skipped_; }
  /// Which, in rising order.
  std::vector<std::int64_t> skipped_samples() const;

 private:
  kernels::AugmentPolicy policy_;
  DeviceLoaderOptions options_;
  std::int64_t batches_ = 0, batch_ = 0, skipped_ = 0;
  std::vector<bool> readable_;
  Tensor values_, refs_;  // the pictures, of the widest type among them: u8, u16 or f32
  Tensor order_;          // i32 [batches * B]: the samples of the epoch under way, this rank's B of each batch
  Tensor index_;          // i32 [B]: those of the current batch
  Tensor all_keys_;       // i32 [batches * views * B, 3]: (sample, epoch, view), batch by batch
  Tensor keys_;           // i32 [views * B, 3]: those of the current batch
  std::vector<std::int32_t> group_of_;  // of each sample; empty: the data set has none
  Tensor all_groups_;                   // i32 [batches * views * B], batch by batch; undefined: there are none
  Tensor groups_;                       // i32 [views * B]: those of the current batch
  Tensor epoch_;                        // i32 [1]
};

}  // namespace simclr::data
