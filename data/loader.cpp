#include <simclr/core/error.h>
#include <simclr/core/parallel.h>
#include <simclr/core/random.h>
#include <simclr/data/loader.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <iostream>
#include <limits>
#include <mutex>
#include <numeric>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

namespace simclr::data {
namespace detail {

/// What outlives an epoch: the sources, and which samples proved unreadable.
struct LoaderState {
  std::shared_ptr<const Dataset> dataset;
  std::shared_ptr<const ViewMaker> view_maker;
  LoaderOptions options;

  std::unique_ptr<std::atomic<bool>[]> unreadable;  // a sample each
  std::mutex mutex;                                 // guards what follows
  std::int64_t skipped = 0;
  std::vector<std::string> messages;  // the first ten
  std::vector<std::string> warnings;  // not yet delivered
  std::set<std::int64_t> noted;       // samples with a warning of their own

  std::int64_t batches() const {
    const std::int64_t size = dataset->size();
    return options.drop_last ? size / options.batch_size : (size + options.batch_size - 1) / options.batch_size;
  }

  void mark_unreadable(std::int64_t index, const std::string& message) {
    if (unreadable[static_cast<std::size_t>(index)].exchange(true)) return;
    const std::lock_guard lock(mutex);
    ++skipped;
    if (messages.size() < 10) messages.push_back(message);
    warnings.push_back(message + " (sample skipped)");
  }

  /// Of a sample that is used all the same.
  void note(std::int64_t index, std::string_view message) {
    const std::lock_guard lock(mutex);
    if (noted.insert(index).second) warnings.emplace_back(message);
  }

  /// While at most half is unreadable, a search through all of it ends.
  void check_skipped() {
    const std::lock_guard lock(mutex);
    SIMCLR_CHECK(skipped <= dataset->size() / 2, "loader: ", skipped, " of ", dataset->size(),
                 " samples cannot be read, more than half; check the data. The first: ", messages.front());
  }

  void deliver_warnings() {
    std::vector<std::string> pending;
    {
      const std::lock_guard lock(mutex);
      pending.swap(warnings);
    }
    for (const std::string& warning : pending) {
      if (options.on_warning) {
        options.on_warning(warning);
      } else {
        std::cerr << "warning: " + warning + "\n";
      }
    }
  }
};

/// One epoch under way. Samples are handed to the workers one by one in the order of the epoch, so that the batch
/// that is needed next is always the one being filled. At most `prefetch` batches are in the making or ready.
class EpochRun {
 public:
  EpochRun(std::shared_ptr<LoaderState> state, std::uint32_t epoch, std::int64_t first_batch)
      : state_(std::move(state)), epoch_(epoch), slots_(static_cast<std::size_t>(state_->options.prefetch)) {
    const std::int64_t size = state_->dataset->size();
    if (state_->options.shuffle) {
      order_ = shuffled_order(size, state_->options.seed, epoch);
    } else {
      order_.resize(static_cast<std::size_t>(size));
      std::iota(order_.begin(), order_.end(), std::int64_t{0});
    }
    batches_ = state_->batches();
    end_ = std::min(size, batches_ * state_->options.batch_size);
    SIMCLR_CHECK(first_batch >= 0 && first_batch <= batches_, "loader: batch ", first_batch, " of an epoch of ",
                 batches_);
    taken_ = first_batch;
    next_position_ = std::min(end_, first_batch * state_->options.batch_size);
  }

  ~EpochRun() { stop(); }

  void start() {
    SIMCLR_CHECK(!started_, "loader: this epoch has begun already; call epoch() for another pass");
    started_ = true;
    try {
      for (int i = 0; i < state_->options.workers; ++i) workers_.emplace_back([this] { work(); });
    } catch (const std::system_error& error) {
      stop();
      fail("loader: cannot start ", state_->options.workers, " worker threads: ", error.what(), "; ask for fewer");
    }
  }

  /// Makes the next batch the current one; false at the end.
  bool next() {
    current_.reset();  // its memory serves the next one
    if (taken_ == batches_) return false;
    std::exception_ptr error;
    if (state_->options.workers > 0) {
      std::unique_lock lock(mutex_);
      Slot& slot = slots_[static_cast<std::size_t>(taken_ % state_->options.prefetch)];
      ready_.wait(lock, [&] { return error_ || (slot.number == taken_ && slot.left == 0); });
      error = error_;
      if (!error) current_ = std::move(slot.batch);
      ++taken_;
    } else {
      Batch batch = new_batch(taken_);
      const std::int64_t first = taken_ * state_->options.batch_size;
      try {
        parallel_for(batch.size, 1, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t row = begin; row < end; ++row) fill(batch, row, first + row);
        });
        current_ = std::move(batch);
        ++taken_;
      } catch (...) {
        error = std::current_exception();  // thrown below, once the warnings that led to it are out
      }
    }
    room_.notify_all();
    state_->deliver_warnings();
    if (error) std::rethrow_exception(error);
    return true;
  }

  const Batch& current() const { return *current_; }

 private:
  struct Slot {
    Batch batch;
    std::int64_t number = -1;  // which batch of the epoch
    std::int64_t left = 0;     // samples still to come
  };

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    room_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
  }

  void work() {
    const SerialScope serial;
    std::unique_lock lock(mutex_);
    try {
      while (true) {
        const auto batch_number = [&] { return next_position_ / state_->options.batch_size; };
        room_.wait(lock, [&] {
          return stop_ || next_position_ == end_ || batch_number() < taken_ + state_->options.prefetch;
        });
        if (stop_ || next_position_ == end_) return;
        const std::int64_t number = batch_number();
        const std::int64_t position = next_position_++;
        const std::int64_t row = position % state_->options.batch_size;
        Slot& slot = slots_[static_cast<std::size_t>(number % state_->options.prefetch)];
        if (row == 0) slot = {.batch = new_batch(number), .number = number, .left = batch_size(number)};
        lock.unlock();
        fill(slot.batch, row, position);
        lock.lock();
        if (--slot.left == 0) ready_.notify_one();
      }
    } catch (...) {
      if (!lock.owns_lock()) lock.lock();
      if (!error_) error_ = std::current_exception();
      stop_ = true;
      ready_.notify_one();
      room_.notify_all();
    }
  }

  std::int64_t batch_size(std::int64_t number) const {
    const std::int64_t size = state_->options.batch_size;
    return std::min(size, end_ - number * size);
  }

  Batch new_batch(std::int64_t number) const {
    const std::int64_t size = batch_size(number);
    const Shape view_shape = state_->view_maker->view_shape();
    std::vector<std::int64_t> shape{state_->options.views * size};
    shape.insert(shape.end(), view_shape.begin(), view_shape.end());
    const auto count = static_cast<std::size_t>(size);
    return {.views = Tensor::empty(Shape(shape)),
            .labels = std::vector<std::int32_t>(count),
            .indices = std::vector<std::int64_t>(count),
            .size = size};
  }

  std::optional<Sample> try_sample(std::int64_t index) const {
    if (!state_->unreadable[static_cast<std::size_t>(index)]) {
      try {
        Sample sample = state_->dataset->sample(index);
        if (!sample.warning.empty()) state_->note(index, sample.warning);
        return sample;
      } catch (const Error& error) {
        state_->mark_unreadable(index, error.what());
      }
    }
    state_->check_skipped();
    return std::nullopt;
  }

  /// Writes all views of the sample at `position` of the order to row `row` of `batch`.
  void fill(Batch& batch, std::int64_t row, std::int64_t position) const {
    const auto size = static_cast<std::int64_t>(order_.size());
    std::int64_t index = order_[static_cast<std::size_t>(position)];
    std::optional<Sample> sample = try_sample(index);
    // From half an epoch away, so that a batch hardly ever gets the same sample twice.
    for (std::int64_t other = position + size / 2; !sample; ++other) {
      index = order_[static_cast<std::size_t>(other % size)];
      sample = try_sample(index);
    }
    batch.indices[static_cast<std::size_t>(row)] = index;
    batch.labels[static_cast<std::size_t>(row)] = sample->label;
    const std::int64_t view_numel = batch.views.numel() / batch.views.dim(0);
    float* views = batch.views.data<float>();
    for (int v = 0; v < state_->options.views; ++v) {
      state_->view_maker->make_view(*sample, state_->options.seed, static_cast<std::uint32_t>(index), epoch_,
                                    static_cast<std::uint32_t>(v), views + (v * batch.size + row) * view_numel);
    }
  }

  const std::shared_ptr<LoaderState> state_;
  const std::uint32_t epoch_;
  std::vector<std::int64_t> order_;
  std::int64_t batches_ = 0, end_ = 0;  // batches of the epoch; samples in them
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

}  // namespace detail

int Batch::views_each() const {
  return size == 0 ? 0 : static_cast<int>(views.dim(0) / size);
}

Tensor Batch::label_groups() const {
  Tensor groups = Tensor::empty({views_each() * size}, DType::i32);
  for (std::int64_t row = 0; row < groups.numel(); ++row) {
    const auto sample = static_cast<std::int32_t>(row % size);
    const std::int32_t label = labels[static_cast<std::size_t>(sample)];
    groups.data<std::int32_t>()[row] = label >= 0 ? label : -2 - sample;
  }
  return groups;
}

std::vector<std::int64_t> shuffled_order(std::int64_t size, std::uint64_t seed, std::uint32_t epoch) {
  SIMCLR_CHECK(size >= 0 && size <= std::numeric_limits<std::uint32_t>::max(), "shuffled_order: ", size,
               " samples, 0 to 2^32-1 can be ordered");
  std::vector<std::int64_t> order(static_cast<std::size_t>(size));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  for (std::int64_t i = size - 1; i > 0; --i) {
    const auto position = static_cast<std::uint32_t>(i);
    const Random random(seed, RandomPurpose::shuffle, position, epoch);
    std::swap(order[static_cast<std::size_t>(i)], order[random.below(position + 1, 0)]);
  }
  return order;
}

Epoch::Epoch(std::unique_ptr<detail::EpochRun> run) : run_(std::move(run)) {}
Epoch::Epoch(Epoch&&) noexcept = default;
Epoch::~Epoch() = default;

Epoch::Iterator Epoch::begin() {
  run_->start();
  return Iterator(run_.get());
}

const Batch& Epoch::Iterator::operator*() const {
  return run_->current();
}

Epoch::Iterator& Epoch::Iterator::operator++() {
  if (!run_->next()) run_ = nullptr;
  return *this;
}

Loader::Loader(std::shared_ptr<const Dataset> dataset, std::shared_ptr<const ViewMaker> view_maker,
               const LoaderOptions& options)
    : state_(std::make_shared<detail::LoaderState>()) {
  SIMCLR_CHECK(dataset && view_maker, "loader: a data set and a view maker are needed, got none");
  const std::int64_t size = dataset->size();
  SIMCLR_CHECK(size > 0, "loader: the data set is empty: ", dataset->describe());
  SIMCLR_CHECK(size <= std::numeric_limits<std::uint32_t>::max(), "loader: ", size, " samples, at most 2^32-1");
  SIMCLR_CHECK(options.batch_size >= 1, "loader: batch_size ", options.batch_size, ", at least 1 is needed");
  SIMCLR_CHECK(options.batch_size <= size || !options.drop_last, "loader: batch_size ", options.batch_size,
               ", but only ", size, " samples: lower batch_size or turn drop_last off");
  SIMCLR_CHECK(options.views >= 1 && options.views < 1 << 24, "loader: views ", options.views,
               ", 1 to 2^24-1 are possible");
  SIMCLR_CHECK(options.workers >= 0 && options.workers <= 1024, "loader: workers ", options.workers,
               ", 0 to 1024 are possible");
  SIMCLR_CHECK(options.prefetch >= 1 && options.prefetch <= 1024, "loader: prefetch ", options.prefetch,
               ", 1 to 1024 batches are possible");
  const Shape view_shape = view_maker->view_shape();
  SIMCLR_CHECK(view_shape.rank() < Shape::max_rank && view_shape.numel() > 0, "loader: views of shape ", view_shape,
               ", 1 to 5 dimensions without a zero are possible");
  state_->unreadable = std::make_unique<std::atomic<bool>[]>(static_cast<std::size_t>(size));
  state_->dataset = std::move(dataset);
  state_->view_maker = std::move(view_maker);
  state_->options = options;
}

Loader::~Loader() = default;
Loader::Loader(Loader&&) noexcept = default;
Loader& Loader::operator=(Loader&&) noexcept = default;

std::int64_t Loader::batches() const {
  return state_->batches();
}
const Dataset& Loader::dataset() const {
  return *state_->dataset;
}
const LoaderOptions& Loader::options() const {
  return state_->options;
}

Epoch Loader::epoch(std::uint32_t epoch, std::int64_t first_batch) const {
  return Epoch(std::make_unique<detail::EpochRun>(state_, epoch, first_batch));
}

std::int64_t Loader::skipped() const {
  const std::lock_guard lock(state_->mutex);
  return state_->skipped;
}

std::vector<std::string> Loader::skip_messages() const {
  const std::lock_guard lock(state_->mutex);
  return state_->messages;
}

namespace {

/// The views and labels of a batch's own samples, which begin at `first` of an unshuffled order; replacements of
/// unreadable ones are left out.
Tensor own_samples(const Batch& batch, std::int64_t first, std::vector<std::int32_t>& labels) {
  labels.clear();
  std::vector<std::int64_t> rows;
  for (std::int64_t i = 0; i < batch.size; ++i) {
    if (batch.indices[static_cast<std::size_t>(i)] != first + i) continue;
    rows.push_back(i);
    labels.push_back(batch.labels[static_cast<std::size_t>(i)]);
  }
  const auto count = static_cast<std::int64_t>(rows.size());
  if (count == batch.size) return batch.views;
  Tensor views = Tensor::empty(batch.views.shape().with_first(count));
  for (std::int64_t k = 0; k < count; ++k) {
    views.narrow(k, 1).copy_from(batch.views.narrow(rows[static_cast<std::size_t>(k)], 1));
  }
  return views;
}

}  // namespace

NextBatch one_pass(std::shared_ptr<const Dataset> dataset, std::shared_ptr<const ViewMaker> view_maker,
                   LoaderOptions options) {
  options.views = 1;
  options.shuffle = options.drop_last = false;
  const Loader loader(std::move(dataset), std::move(view_maker), options);
  const auto epoch = std::make_shared<Epoch>(loader.epoch(0));  // keeps what it needs of the loader
  return [epoch, at = std::optional<Epoch::Iterator>(), first = std::int64_t{0}](
             Tensor& inputs, std::vector<std::int32_t>& labels) mutable {
    do {
      if (at) {
        ++*at;
      } else {
        at = epoch->begin();
      }
      if (*at == epoch->end()) return false;
      inputs = own_samples(**at, first, labels);
      first += (*at)->size;
    } while (labels.empty());
    return true;
  };
}

}  // namespace simclr::data
