#pragma once

// Private: one epoch of a Loader under way.

#include <simclr/core/error.h>
#include <simclr/data/loader.h>

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <set>
#include <string_view>
#include <thread>

namespace simclr::data::detail {

/// What outlives an epoch: the sources, and which samples proved unreadable or of no use to a view maker.
struct LoaderState {
  std::shared_ptr<const Dataset> dataset;
  std::vector<Tower> towers;
  std::vector<int> parts;  // of a sample that some tower wants, each once
  LoaderOptions options;

  /// A sample each. One that a maker refuses is tried again in each epoch, so that a run that goes on there, and has
  /// not seen the epochs before, serves the same.
  std::unique_ptr<std::atomic<bool>[]> unreadable;
  std::mutex mutex;                      // guards what follows
  std::set<std::int64_t> skipped;        // unreadable or refused
  const char* fault = "cannot be read";  // of the skipped
  std::string first_message;
  std::vector<std::string> warnings;  // not yet delivered
  std::set<std::int64_t> noted;       // samples with a warning of their own

  std::int64_t batches() const;
  /// Warns of a sample that is left out, the first time.
  void skip(std::int64_t index, const std::string& message);
  /// Of one that a maker refuses.
  void skip_refused(std::int64_t index, const std::string& message);
  /// Of a sample that is used all the same.
  void note(std::int64_t index, std::string_view message);
  /// While at most half is left out, a search through all of it ends.
  void check_skipped();
  void deliver_warnings();
};

/// One epoch under way. Samples are handed to the workers one by one in the order of the epoch, so that the batch
/// that is needed next is always the one being filled. At most `prefetch` batches are in the making or ready.
class EpochRun {
 public:
  /// From batch `first_batch` up to `end_batch`; nothing behind it is read. Throws Error for a first one that the epoch
  /// lacks.
  EpochRun(std::shared_ptr<LoaderState> state, std::uint32_t epoch, std::int64_t first_batch, std::int64_t end_batch);
  ~EpochRun() { stop(); }

  void start();
  /// Makes the next batch the current one; false at the end.
  bool next();
  const Batch& current() const { return *current_; }

 private:
  struct Slot {
    Batch batch;
    std::int64_t number = -1;  // which batch of the epoch
    std::int64_t left = 0;     // samples still to come
  };
  using Parts = std::vector<Sample>;  // of one sample, those that LoaderState::parts names

  void stop();
  void work();
  std::int64_t batch_size(std::int64_t number) const;
  /// The place of its first sample in the batch of all ranks.
  std::int64_t first_of(std::int64_t number) const;
  Batch new_batch(std::int64_t number) const;
  /// None, and reported, where a part cannot be read.
  std::optional<Parts> try_read(std::int64_t index) const;
  /// Writes all views of a sample to row `row` of `batch`, and its label. False, and reported, where it cannot be read
  /// or a maker refuses it: the row is to be written again.
  bool try_sample(Batch& batch, std::int64_t row, std::int64_t index) const;
  /// Writes all views of the sample in row `row` of batch `number`, or of the one that takes its place.
  void fill(Batch& batch, std::int64_t number, std::int64_t row) const;

  const std::shared_ptr<LoaderState> state_;
  const std::uint32_t epoch_;
  std::vector<std::int64_t> order_;     // of all ranks; what follows counts this rank's samples alone
  std::int64_t batches_ = 0, end_ = 0;  // the batch to end before; this rank's samples before it
  std::int64_t full_ = 0;               // samples of a batch that is not the last
  bool started_ = false;
  std::optional<Batch> current_;

  std::mutex mutex_;               // guards what follows
  std::condition_variable room_;   // a batch was taken: workers go on
  std::condition_variable ready_;  // a batch is full, or a worker failed
  std::vector<Slot> slots_;        // batch k lives in slot k % prefetch
  std::int64_t next_position_ = 0, taken_ = 0;
  std::exception_ptr error_;
  bool stop_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace simclr::data::detail
