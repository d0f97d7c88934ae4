#pragma once

#include <simclr/core/error.h>
#include <simclr/core/input.h>
#include <simclr/data/dataset.h>
#include <simclr/data/views.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

namespace simclr::data {

/// Thrown where more than half of a data set turns out to be of no use.
class SIMCLR_API UnreadableData : public Error {
 public:
  using Error::Error;
};

/// Which views of a sample go together into one input of a model. SimCLR has one tower of two views; a model of pairs
/// two towers of one view, each of its own part of the sample.
struct Tower {
  std::shared_ptr<const ViewMaker> maker;
  int views = 2;  // of each sample, at least 1
  int part = 0;   // of the sample, which the views are made of
};

/// Which part of every batch a process serves: all ranks of a run (core/world.h) together serve what one process serves
/// of the same seed and batch size, the same samples, replacements and views. Rank r has the r-th of `ranks` equal
/// parts of each batch, in their order.
struct Shard {
  int rank = 0, ranks = 1;
};

/// Throws Error, opened by `who`, where there is no such rank, and where the ranks cannot hold as many of `batch_size`
/// samples each: with the sizes that fit.
SIMCLR_API void check(const Shard& shard, std::int64_t batch_size, const char* who);

/// Several views of some samples, on the CPU.
struct Batch {
  /// One a tower. x [V*B, view shape] of the maker's dtype: view v of sample i in row v*B + i. lengths i32 [V*B] where
  /// some view is shorter than the view shape, with zeros behind its end; undefined where all are full. keys i32
  /// [V*B,3]: (sample, epoch, view) of each row; views are counted through all towers. groups i32 [V*B]: of each row's
  /// sample, where the data set has groups; else undefined.
  std::vector<Input> towers;
  std::vector<std::int32_t> labels;   // [B]; -1: none
  std::vector<std::int64_t> indices;  // [B], in the data set
  std::int64_t size = 0;              // B
  std::int64_t first = 0;             // the place of the first of these in the batch of all ranks (Shard)

  /// V of a tower, which nn::NtXentOptions::views wants. Throws Error for a tower that the batch lacks.
  int views_each(int tower = 0) const;
  /// i32 [V*B] on the CPU, the groups for a loss of a tower that takes labels (kernels/nt_xent.h): rows of one label
  /// are one group. A sample without a label has a group of its own among all ranks', a number below -1, so that its
  /// views stay each other's positives.
  Tensor label_groups(int tower = 0) const;
};

struct LoaderOptions {
  std::int64_t batch_size = 256;  // samples, not views; of all ranks together
  Shard shard = {};
  bool shuffle = true;
  std::int64_t shuffle_block = 0;  // samples; of the order: see shuffled_order()
  bool drop_last = true;           // leave out the last batch of an epoch where it would be smaller
  std::uint64_t seed = 0;          // of the order and of the views
  /// Threads that make views ahead of the step; 0: all compute threads make them when a batch is taken. Take some, as
  /// many as compute threads, where the step leaves the host's cores idle, as on a GPU.
  int workers = 0;
  int prefetch = 2;  // batches made ahead, at least 1; each costs its views' memory
  /// Is told of each sample that cannot be used or has a warning once, in the thread that takes the batches. Default: a
  /// line to std::cerr.
  std::function<void(const std::string& message)> on_warning = {};
};

/// How many blocks of an order are mixed with each other at most.
inline constexpr std::int64_t mixed_blocks = 16;

/// The order of an epoch: a permutation of 0 .. size-1 (Fisher-Yates) that depends on nothing but its arguments. With a
/// `block` the samples are cut into blocks of so many that follow each other; the blocks are shuffled, and then the
/// samples of groups of them among themselves: as few groups, of sizes as even, as at most mixed_blocks in each make
/// possible. Samples that lie side by side on a slow disk are then read within a short time, at the cost of batches
/// that are drawn from up to 16 blocks and not from all. 0: no blocks. Throws Error for a negative size or block, and
/// for more than 2^32-1 samples.
SIMCLR_API std::vector<std::int64_t> shuffled_order(std::int64_t size, std::uint64_t seed, std::uint32_t epoch,
                                                    std::int64_t block = 0);

namespace detail {
struct LoaderState;
class EpochRun;
}  // namespace detail

/// One pass over a data set: `for (const Batch& batch : loader.epoch(e))`, once. Leaving the loop early is fine: the
/// workers stop within a sample.
class SIMCLR_API Epoch {
 public:
  class SIMCLR_API Iterator {
   public:
    using value_type = Batch;
    using difference_type = std::ptrdiff_t;
    const Batch& operator*() const;
    const Batch* operator->() const { return &**this; }
    Iterator& operator++();
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return run_ == nullptr; }

   private:
    friend class Epoch;
    explicit Iterator(detail::EpochRun* run) : run_(run) { ++*this; }
    detail::EpochRun* run_;  // null: at the end
  };

  explicit Epoch(std::unique_ptr<detail::EpochRun> run);
  Epoch(Epoch&&) noexcept;
  ~Epoch();

  /// Starts the pass. Throws Error when called again.
  Iterator begin();
  std::default_sentinel_t end() const { return {}; }

 private:
  std::unique_ptr<detail::EpochRun> run_;
};

/// Serves a data set as batches of views. Which samples come in which order, and every bit of their views, follow
/// from the seed and the epoch alone, whatever the batch size and the number of workers.
///
/// A sample that cannot be read, or of which a view maker can make no view, is reported once, counted, and replaced by
/// the next usable one from half an epoch further on in the order, in all towers alike; `indices`, `labels` and keys
/// are the replacement's. Where more than half of the data set turns out to be of no use, taking a batch throws
/// UnreadableData. Which sample it is follows from the order alone, so that ranks (Shard) need not tell one another;
/// each reports and counts those that it has met.
class SIMCLR_API Loader {
 public:
  /// One tower of two views of each sample. Throws Error for impossible options.
  Loader(std::shared_ptr<const Dataset> dataset, std::shared_ptr<const ViewMaker> view_maker,
         const LoaderOptions& options = {});
  /// Any towers. Tell the loss of other numbers of views than 2, which it cannot see:
  /// nn::nt_xent(z, {.views = batch.views_each()}).
  Loader(std::shared_ptr<const Dataset> dataset, std::vector<Tower> towers, const LoaderOptions& options = {});
  ~Loader();
  Loader(Loader&&) noexcept;
  Loader& operator=(Loader&&) noexcept;

  /// Batches in one epoch.
  std::int64_t batches() const;
  const Dataset& dataset() const;
  const std::vector<Tower>& towers() const;
  const LoaderOptions& options() const;

  /// The pass number `epoch` (from 0), from batch number `first_batch` on: a run that was interrupted goes on there.
  /// What goes wrong in a worker is thrown where batches are taken. Throws Error for a batch that the epoch lacks.
  Epoch epoch(std::uint32_t epoch, std::int64_t first_batch = 0) const;

  /// How many samples of the data set could not be read or used so far; on_warning was told why.
  std::int64_t skipped() const;
  /// Which, in rising order. All that its ranks name are what one process has met by the end of an epoch.
  std::vector<std::int64_t> skipped_samples() const;

 private:
  std::shared_ptr<detail::LoaderState> state_;
};

/// One pass over a data set for evaluation, what nn::extract_features takes: one view of part `part` of each sample, in
/// their own order. A sample that cannot be read or used is reported and left out, not replaced. Of `options` the batch
/// size, here that of one rank, seed, workers, prefetch, on_warning and shard count: a rank has its share of the whole
/// pass's batches, as even as they can be, so that those of all ranks in their order are one process's. It may be none.
SIMCLR_API NextBatch one_pass(std::shared_ptr<const Dataset> dataset, std::shared_ptr<const ViewMaker> view_maker,
                              LoaderOptions options = {}, int part = 0);

}  // namespace simclr::data
