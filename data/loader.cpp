#include "epoch_run.h"

#include <simclr/core/random.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <span>
#include <utility>

namespace simclr::data {

int Batch::views_each(int tower) const {
  if (size == 0) return 0;
  SIMCLR_CHECK(tower >= 0 && tower < std::ssize(towers), "batch: tower ", tower, " of ", towers.size());
  return static_cast<int>(towers[static_cast<std::size_t>(tower)].rows() / size);
}

Tensor Batch::label_groups(int tower) const {
  Tensor groups = Tensor::empty({views_each(tower) * size}, DType::i32);
  for (std::int64_t row = 0; row < groups.numel(); ++row) {
    const auto sample = static_cast<std::int32_t>(row % size);
    const std::int32_t label = labels[static_cast<std::size_t>(sample)];
    groups.data<std::int32_t>()[row] = label >= 0 ? label : -2 - static_cast<std::int32_t>(first) - sample;
  }
  return groups;
}

namespace {

/// Shuffles `order` (Fisher-Yates). Others than the `view`-th use of the same seed and epoch are independent.
void shuffle(std::span<std::int64_t> order, std::uint64_t seed, std::uint32_t epoch, std::uint32_t view) {
  for (std::int64_t i = std::ssize(order) - 1; i > 0; --i) {
    const auto position = static_cast<std::uint32_t>(i);
    const Random random(seed, RandomPurpose::shuffle, position, epoch, view);
    std::swap(order[static_cast<std::size_t>(i)], order[random.below(position + 1, 0)]);
  }
}

std::vector<std::int64_t> counting(std::int64_t size) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(size));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  return order;
}

}  // namespace

std::vector<std::int64_t> shuffled_order(std::int64_t size, std::uint64_t seed, std::uint32_t epoch,
                                         std::int64_t block) {
  SIMCLR_CHECK(size >= 0 && size <= std::numeric_limits<std::uint32_t>::max(), "shuffled_order: ", size,
               " samples, 0 to 2^32-1 can be ordered");
  SIMCLR_CHECK(block >= 0, "shuffled_order: blocks of ", block, " samples, 0 or more are possible");
  std::vector<std::int64_t> order = counting(size);
  if (block == 0 || block >= size) {
    shuffle(order, seed, epoch, 0);
    return order;
  }
  std::vector<std::int64_t> blocks = counting((size + block - 1) / block);
  shuffle(blocks, seed, epoch, 1);
  const std::int64_t count = std::ssize(blocks), groups = (count + mixed_blocks - 1) / mixed_blocks;
  auto end = order.begin();
  for (std::int64_t group = 0; group < groups; ++group) {
    const auto begin = end;
    for (std::int64_t k = count * group / groups; k < count * (group + 1) / groups; ++k) {
      const std::int64_t first = blocks[static_cast<std::size_t>(k)] * block;
      const auto from = end;
      end += std::min(block, size - first);
      std::iota(from, end, first);
    }
    shuffle({begin, end}, seed, epoch, static_cast<std::uint32_t>(2 + group));
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

void check(const Shard& shard, std::int64_t batch_size, const char* who) {
  SIMCLR_CHECK(shard.ranks >= 1 && shard.rank >= 0 && shard.rank < shard.ranks, who, ": shard of rank ", shard.rank,
               " of ", shard.ranks, "; there is none");
  const std::int64_t ranks = shard.ranks, below = batch_size / ranks * ranks;
  SIMCLR_CHECK(batch_size == below, who, ": batch_size ", batch_size, " for ", ranks,
               " ranks, which hold as many samples each; ", below > 0 ? std::to_string(below) + " and " : "",
               below + ranks, below > 0 ? " fit" : " fits");
}

namespace {

void check(const Dataset& dataset, const LoaderOptions& options) {
  const std::int64_t size = dataset.size();
  SIMCLR_CHECK(size > 0, "loader: the data set is empty: ", dataset.describe());
  SIMCLR_CHECK(size <= std::numeric_limits<std::uint32_t>::max(), "loader: ", size, " samples, at most 2^32-1");
  SIMCLR_CHECK(options.batch_size >= 1, "loader: batch_size ", options.batch_size, ", at least 1 is needed");
  SIMCLR_CHECK(options.batch_size <= size || !options.drop_last, "loader: batch_size ", options.batch_size,
               ", but only ", size, " samples: lower batch_size or turn drop_last off");
  check(options.shard, options.batch_size, "loader");
  SIMCLR_CHECK(options.drop_last || size % options.shard.ranks == 0, "loader: ", size, " samples for ",
               options.shard.ranks, " ranks, which hold as many of the last batch each: turn drop_last on, or leave ",
               size % options.shard.ranks, " out");
  SIMCLR_CHECK(options.shuffle_block >= 0, "loader: shuffle_block ", options.shuffle_block,
               ", 0 or more samples are possible");
  SIMCLR_CHECK(options.workers >= 0 && options.workers <= 1024, "loader: workers ", options.workers,
               ", 0 to 1024 are possible");
  SIMCLR_CHECK(options.prefetch >= 1 && options.prefetch <= 1024, "loader: prefetch ", options.prefetch,
               ", 1 to 1024 batches are possible");
}

void check(const Tower& tower, const Dataset& dataset) {
  SIMCLR_CHECK(tower.maker, "loader: a data set and a view maker are needed, got none");
  SIMCLR_CHECK(tower.views >= 1 && tower.views < 1 << 24, "loader: views ", tower.views, ", 1 to 2^24-1 are possible");
  SIMCLR_CHECK(tower.part >= 0 && tower.part < dataset.parts(), "loader: part ", tower.part, " of samples that have ",
               dataset.parts(), ": ", dataset.describe());
  const Shape shape = tower.maker->view_shape();
  SIMCLR_CHECK(shape.rank() >= 1 && shape.rank() < Shape::max_rank && shape.numel() > 0, "loader: views of shape ",
               shape, ", 1 to 5 dimensions without a zero are possible");
  const DType dtype = tower.maker->view_dtype();
  SIMCLR_CHECK(dtype == DType::f32 || !is_floating(dtype), "loader: views of ", dtype,
               "; f32 and integer types are possible, a model's step rounds f32 to what it computes with");
}

std::shared_ptr<detail::LoaderState> make_state(std::shared_ptr<const Dataset> dataset, std::vector<Tower> towers,
                                                const LoaderOptions& options) {
  SIMCLR_CHECK(dataset && !towers.empty(), "loader: a data set and a view maker are needed, got none");
  check(*dataset, options);
  auto state = std::make_shared<detail::LoaderState>();
  for (const Tower& tower : towers) {
    check(tower, *dataset);
    auto& parts = state->parts;
    if (std::find(parts.begin(), parts.end(), tower.part) == parts.end()) parts.push_back(tower.part);
  }
  state->unreadable = std::make_unique<std::atomic<bool>[]>(static_cast<std::size_t>(dataset->size()));
  state->dataset = std::move(dataset);
  state->towers = std::move(towers);
  state->options = options;
  return state;
}

}  // namespace

Loader::Loader(std::shared_ptr<const Dataset> dataset, std::shared_ptr<const ViewMaker> view_maker,
               const LoaderOptions& options)
    : Loader(std::move(dataset), std::vector<Tower>{{.maker = std::move(view_maker)}}, options) {}

Loader::Loader(std::shared_ptr<const Dataset> dataset, std::vector<Tower> towers, const LoaderOptions& options)
    : state_(make_state(std::move(dataset), std::move(towers), options)) {}

Loader::~Loader() = default;
Loader::Loader(Loader&&) noexcept = default;
Loader& Loader::operator=(Loader&&) noexcept = default;

std::int64_t Loader::batches() const {
  return state_->batches();
}
const Dataset& Loader::dataset() const {
  return *state_->dataset;
}
const std::vector<Tower>& Loader::towers() const {
  return state_->towers;
}
const LoaderOptions& Loader::options() const {
  return state_->options;
}

Epoch Loader::epoch(std::uint32_t epoch, std::int64_t first_batch) const {
  return Epoch(std::make_unique<detail::EpochRun>(state_, epoch, first_batch, state_->batches()));
}

std::int64_t Loader::skipped() const {
  const std::lock_guard lock(state_->mutex);
  return std::ssize(state_->skipped);
}

std::vector<std::int64_t> Loader::skipped_samples() const {
  const std::lock_guard lock(state_->mutex);
  return {state_->skipped.begin(), state_->skipped.end()};
}

namespace {

/// The views and labels of a batch's own samples, which begin at `first` of an unshuffled order; replacements of
/// unreadable ones are left out.
Input own_samples(const Batch& batch, std::int64_t first, std::vector<std::int32_t>& labels) {
  labels.clear();
  std::vector<std::int64_t> rows;
  for (std::int64_t i = 0; i < batch.size; ++i) {
    if (batch.indices[static_cast<std::size_t>(i)] != first + i) continue;
    rows.push_back(i);
    labels.push_back(batch.labels[static_cast<std::size_t>(i)]);
  }
  const auto count = static_cast<std::int64_t>(rows.size());
  const Input& all = batch.towers[0];
  if (count == batch.size) return all;
  const auto own = [&](const Tensor& from) {
    if (!from.defined()) return Tensor();
    Tensor to = Tensor::empty(from.shape().with_first(count), from.dtype());
    for (std::int64_t k = 0; k < count; ++k) {
      to.narrow(k, 1).copy_from(from.narrow(rows[static_cast<std::size_t>(k)], 1));
    }
    return to;
  };
  return {own(all.x), own(all.lengths), own(all.keys), own(all.groups)};
}

}  // namespace

NextBatch one_pass(std::shared_ptr<const Dataset> dataset, std::shared_ptr<const ViewMaker> view_maker,
                   LoaderOptions options, int part) {
  options.shuffle = options.drop_last = false;
  const Shard shard = std::exchange(options.shard, {});
  check(shard, shard.ranks, "one_pass");  // a rank has whole batches
  const auto state =
      make_state(std::move(dataset), {{.maker = std::move(view_maker), .views = 1, .part = part}}, options);
  const std::int64_t all = state->batches(), begin = shard.rank * all / shard.ranks;
  const std::int64_t end = (shard.rank + 1) * all / shard.ranks;
  if (begin == end) return [](Input&, std::vector<std::int32_t>&) { return false; };
  const auto epoch = std::make_shared<Epoch>(std::make_unique<detail::EpochRun>(state, 0, begin, end));
  return [epoch, at = std::optional<Epoch::Iterator>(), first = begin * options.batch_size](
             Input& input, std::vector<std::int32_t>& labels) mutable {
    do {
      if (!at) {
        at = epoch->begin();
      } else if (*at != epoch->end()) {
        ++*at;
      }
      if (*at == epoch->end()) return false;
      input = own_samples(**at, first, labels);
      first += (*at)->size;
    } while (labels.empty());
    return true;
  };
}

}  // namespace simclr::data
