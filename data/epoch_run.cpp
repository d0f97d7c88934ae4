#include "epoch_run.h"

#include <simclr/core/parallel.h>
#include <simclr/core/text.h>

#include <algorithm>
#include <cstring>
#include <iostream>
#include <numeric>
#include <system_error>
#include <utility>

namespace simclr::data::detail {

namespace {

/// The views of one sample that a tower wants, into their rows of its input.
struct ViewRows {
  const Tower& tower;
  const Input& input;
  std::int64_t row, size;                   // of the sample in the batch; samples in it
  const std::vector<std::int32_t>& groups;  // of the data set's samples; empty: none
  ViewKey key;                              // of the first view

  void make(const Sample& sample) const {
    const Shape& shape = input.x.shape();
    const std::size_t view_bytes = input.x.bytes() / static_cast<std::size_t>(shape[0]);
    for (int v = 0; v < tower.views; ++v) {
      const std::int64_t at = v * size + row;
      ViewKey view_key = key;
      view_key.view += static_cast<std::uint32_t>(v);
      std::byte* out = static_cast<std::byte*>(input.x.raw_data()) + static_cast<std::size_t>(at) * view_bytes;
      input.lengths.data<std::int32_t>()[at] = tower.maker->make_whole_view(sample, view_key, out);
      const std::uint32_t bits[3] = {view_key.sample, view_key.epoch, view_key.view};
      std::memcpy(input.keys.data<std::int32_t>() + 3 * at, bits, sizeof bits);
      if (!groups.empty()) input.groups.data<std::int32_t>()[at] = groups[key.sample];
    }
  }
};

/// Lengths that all are the views' own shape say nothing.
void drop_full_lengths(Batch& batch) {
  for (Input& input : batch.towers) {
    const auto longest = static_cast<std::int32_t>(input.x.dim(1));
    const std::int32_t* lengths = input.lengths.data<const std::int32_t>();
    if (std::all_of(lengths, lengths + input.rows(), [=](std::int32_t one) { return one == longest; })) {
      input.lengths = {};
    }
  }
}

}  // namespace

std::int64_t LoaderState::batches() const {
  const std::int64_t size = dataset->size();
  return options.drop_last ? size / options.batch_size : (size + options.batch_size - 1) / options.batch_size;
}

void LoaderState::skip(std::int64_t index, const std::string& message) {
  const std::lock_guard lock(mutex);
  if (!skipped.insert(index).second) return;
  if (first_message.empty()) first_message = message;
  warnings.push_back(message + " (sample skipped)");
}

void LoaderState::skip_refused(std::int64_t index, const std::string& message) {
  const std::string place = dataset->place(index);
  skip(index, "loader: no view of sample " + std::to_string(index) +
                  (place.empty() ? "" : " (" + printable(place) + ")") + ": " + message);
  const std::lock_guard lock(mutex);
  fault = "cannot be read or used";
}

void LoaderState::note(std::int64_t index, std::string_view message) {
  const std::lock_guard lock(mutex);
  if (noted.insert(index).second) warnings.emplace_back(message);
}

void LoaderState::check_skipped() {
  const std::lock_guard lock(mutex);
  if (std::ssize(skipped) <= dataset->size() / 2) return;
  fail<UnreadableData>("loader: ", skipped.size(), " of ", dataset->size(), " samples ", fault,
                       ", more than half; check the data. The first: ", first_message);
}

void LoaderState::deliver_warnings() {
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

EpochRun::EpochRun(std::shared_ptr<LoaderState> state, std::uint32_t epoch, std::int64_t first_batch,
                   std::int64_t end_batch)
    : state_(std::move(state)), epoch_(epoch), slots_(static_cast<std::size_t>(state_->options.prefetch)) {
  const std::int64_t size = state_->dataset->size();
  if (state_->options.shuffle) {
    order_ = shuffled_order(size, state_->options.seed, epoch, state_->options.shuffle_block);
  } else {
    order_.resize(static_cast<std::size_t>(size));
    std::iota(order_.begin(), order_.end(), std::int64_t{0});
  }
  const std::int64_t ranks = state_->options.shard.ranks;
  batches_ = end_batch;
  end_ = std::min(size, batches_ * state_->options.batch_size) / ranks;
  full_ = state_->options.batch_size / ranks;
  SIMCLR_CHECK(first_batch >= 0 && first_batch <= batches_, "loader: batch ", first_batch, " of an epoch of ",
               state_->batches());
  taken_ = first_batch;
  next_position_ = std::min(end_, first_batch * full_);
}

void EpochRun::start() {
  SIMCLR_CHECK(!started_, "loader: this epoch has begun already; call epoch() for another pass");
  started_ = true;
  try {
    for (int i = 0; i < state_->options.workers; ++i) workers_.emplace_back([this] { work(); });
  } catch (const std::system_error& error) {
    stop();
    fail("loader: cannot start ", state_->options.workers, " worker threads: ", error.what(), "; ask for fewer");
  }
}

bool EpochRun::next() {
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
    try {
      parallel_for(batch.size, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) fill(batch, taken_, row);
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
  drop_full_lengths(*current_);
  return true;
}

void EpochRun::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  room_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

void EpochRun::work() {
  const SerialScope serial;
  std::unique_lock lock(mutex_);
  try {
    while (true) {
      const auto batch_number = [&] { return next_position_ / full_; };
      room_.wait(lock,
                 [&] { return stop_ || next_position_ == end_ || batch_number() < taken_ + state_->options.prefetch; });
      if (stop_ || next_position_ == end_) return;
      const std::int64_t number = batch_number();
      const std::int64_t row = next_position_++ % full_;
      Slot& slot = slots_[static_cast<std::size_t>(number % state_->options.prefetch)];
      if (row == 0) slot = {.batch = new_batch(number), .number = number, .left = batch_size(number)};
      lock.unlock();
      fill(slot.batch, number, row);
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

std::int64_t EpochRun::batch_size(std::int64_t number) const {
  return std::min(full_, end_ - number * full_);
}

std::int64_t EpochRun::first_of(std::int64_t number) const {
  return state_->options.shard.rank * batch_size(number);
}

Batch EpochRun::new_batch(std::int64_t number) const {
  const std::int64_t size = batch_size(number);
  const auto count = static_cast<std::size_t>(size);
  Batch batch{.towers = {},
              .labels = std::vector<std::int32_t>(count),
              .indices = std::vector<std::int64_t>(count),
              .size = size,
              .first = first_of(number)};
  for (const Tower& tower : state_->towers) {
    const std::int64_t rows = tower.views * size;
    const Shape view_shape = tower.maker->view_shape();
    std::vector<std::int64_t> shape{rows};
    shape.insert(shape.end(), view_shape.begin(), view_shape.end());
    batch.towers.emplace_back(Tensor::empty(Shape(shape), tower.maker->view_dtype()), Tensor::empty({rows}, DType::i32),
                              Tensor::empty({rows, 3}, DType::i32),
                              state_->dataset->groups().empty() ? Tensor() : Tensor::empty({rows}, DType::i32));
  }
  return batch;
}

std::optional<EpochRun::Parts> EpochRun::try_read(std::int64_t index) const {
  std::atomic<bool>& unreadable = state_->unreadable[static_cast<std::size_t>(index)];
  if (unreadable) return std::nullopt;
  try {
    Parts parts;
    parts.reserve(state_->parts.size());
    for (const int part : state_->parts) {
      parts.push_back(state_->dataset->sample(index, part));
      if (!parts.back().warning.empty()) state_->note(index, parts.back().warning);
    }
    return parts;
  } catch (const Error& error) {
    unreadable = true;
    state_->skip(index, error.what());
    return std::nullopt;
  }
}

bool EpochRun::try_sample(Batch& batch, std::int64_t row, std::int64_t index) const {
  const std::optional<Parts> sample = try_read(index);
  if (!sample) return false;
  ViewKey key{.seed = state_->options.seed, .sample = static_cast<std::uint32_t>(index), .epoch = epoch_, .view = 0};
  try {
    for (std::size_t t = 0; t < state_->towers.size(); ++t) {
      const Tower& tower = state_->towers[t];
      const auto part = std::find(state_->parts.begin(), state_->parts.end(), tower.part) - state_->parts.begin();
      ViewRows{tower, batch.towers[t], row, batch.size, state_->dataset->groups(), key}.make(
          (*sample)[static_cast<std::size_t>(part)]);
      key.view += static_cast<std::uint32_t>(tower.views);
    }
  } catch (const Error& error) {
    state_->skip_refused(index, error.what());
    return false;
  }
  batch.indices[static_cast<std::size_t>(row)] = index;
  batch.labels[static_cast<std::size_t>(row)] = sample->front().label;
  return true;
}

void EpochRun::fill(Batch& batch, std::int64_t number, std::int64_t row) const {
  const auto size = static_cast<std::int64_t>(order_.size());
  const std::int64_t position = number * state_->options.batch_size + first_of(number) + row;
  bool filled = try_sample(batch, row, order_[static_cast<std::size_t>(position)]);
  // From half an epoch away, so that a batch hardly ever gets the same sample twice.
  for (std::int64_t other = position + size / 2; !filled; ++other) {
    state_->check_skipped();
    filled = try_sample(batch, row, order_[static_cast<std::size_t>(other % size)]);
  }
}

}  // namespace simclr::data::detail
