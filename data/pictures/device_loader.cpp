#include "picture_ref.h"

#include <simclr/core/error.h>
#include <simclr/core/parallel.h>
#include <simclr/data/loader.h>
#include <simclr/data/pictures/device_loader.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <iostream>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <type_traits>
#include <variant>

namespace simclr::data {
namespace {

// Samples that are decoded side by side, and of how many bytes: photographs are large.
constexpr std::int64_t most_at_once = 1024, most_held = std::int64_t{256} << 20;

/// All pictures in one buffer, of the widest type among them: white becomes white.
class Values {
 public:
  std::size_t size() const {
    return std::visit([](const auto& all) { return all.size(); }, all_);
  }
  std::size_t bytes() const {
    return std::visit([](const auto& all) { return all.size() * sizeof(all.front()); }, all_);
  }
  Tensor tensor() const {
    return std::visit([](const auto& all) { return Tensor::from(all, {std::ssize(all)}); }, all_);
  }

  void append(const Sample& sample) {
    kernels::dispatch_values(sample.dtype, [&](auto zero) { append(sample.values<decltype(zero)>()); });
  }

 private:
  template <class To, class From>
  static To converted(From value) {
    if constexpr (std::is_same_v<To, From>) {
      return value;
    } else if constexpr (std::is_same_v<To, float>) {
      return static_cast<float>(value) / kernels::white_of<From>;
    } else {
      return static_cast<To>(257 * value);  // 255 to 65535
    }
  }

  template <class From>
  void append(std::span<const From> values) {
    widen<From>();
    std::visit(
        [values](auto& all) {
          using To = typename std::remove_reference_t<decltype(all)>::value_type;
          if constexpr (std::is_same_v<To, From>) {
            all.insert(all.end(), values.begin(), values.end());
          } else if constexpr (sizeof(To) > sizeof(From)) {
            for (const From value : values) all.push_back(converted<To>(value));
          }
        },
        all_);
  }

  /// Makes room for values of type To.
  template <class To>
  void widen() {
    std::visit(
        [this](auto& all) {
          using From = typename std::remove_reference_t<decltype(all)>::value_type;
          if constexpr (sizeof(From) < sizeof(To)) {
            std::vector<To> wide;
            wide.reserve(all.size());
            for (const From value : all) wide.push_back(converted<To>(value));
            all_ = std::move(wide);
          }
        },
        all_);
  }

  std::variant<std::vector<std::uint8_t>, std::vector<std::uint16_t>, std::vector<float>> all_;
};

struct Pictures {
  Values values;
  std::vector<kernels::ImageRef> refs;  // one a sample; empty pictures where it could not be read
  std::vector<std::string> failures, warnings;
};

/// A sample, or why it cannot be read.
struct Decoded {
  std::optional<Sample> sample;
  kernels::ImageRef ref = {};
  std::string failure = {};
};

/// The samples from number `first` on: as many as are decoded side by side, at least one.
std::vector<Decoded> read_some(const Dataset& dataset, int channels, std::int64_t first) {
  const std::int64_t count = std::min(most_at_once, dataset.size() - first);
  std::vector<Decoded> some(static_cast<std::size_t>(count));
  std::atomic<std::int64_t> begun = 0, held = 0;
  parallel_for(count, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end && held < most_held; ++i) {
      const std::int64_t k = begun++;  // those that have begun are the first, whichever piece is left out
      Decoded& decoded = some[static_cast<std::size_t>(k)];
      try {
        Sample sample = dataset.sample(first + k);
        decoded.ref = picture_ref(sample, channels, first + k, "device loader");
        if (sample.owner) held += std::ssize(sample.bytes);
        decoded.sample = std::move(sample);
      } catch (const Error& error) {
        decoded.failure = error.what();
      }
    }
  });
  some.resize(static_cast<std::size_t>(begun));
  return some;
}

Pictures read_all(const Dataset& dataset, int channels, std::size_t most_bytes) {
  Pictures pictures;
  pictures.refs.reserve(static_cast<std::size_t>(dataset.size()));
  while (std::ssize(pictures.refs) < dataset.size()) {
    for (Decoded& decoded : read_some(dataset, channels, std::ssize(pictures.refs))) {
      if (!decoded.sample) {
        pictures.refs.emplace_back();
        pictures.failures.push_back(std::move(decoded.failure));
        continue;
      }
      if (!decoded.sample->warning.empty()) pictures.warnings.emplace_back(decoded.sample->warning);
      decoded.ref.offset = static_cast<std::int64_t>(pictures.values.size());
      pictures.refs.push_back(decoded.ref);
      pictures.values.append(*decoded.sample);
      decoded.sample.reset();  // its memory
      SIMCLR_CHECK(most_bytes == 0 || pictures.values.bytes() <= most_bytes,
                   "device loader: the pictures take more than ", most_bytes,
                   " bytes; use a Loader, which makes views on the host");
    }
  }
  return pictures;
}

}  // namespace

DeviceLoader::DeviceLoader(const Dataset& dataset, const kernels::AugmentPolicy& policy, Device device,
                           const DeviceLoaderOptions& options)
    : policy_(policy), options_(options) {
  check(policy);
  const std::int64_t size = dataset.size();
  SIMCLR_CHECK(size > 0 && size <= std::numeric_limits<std::int32_t>::max(), "device loader: ", size,
               " samples; 1 to 2^31-1 are possible");
  SIMCLR_CHECK(options.batch_size >= 1 && options.batch_size <= size, "device loader: batch_size ", options.batch_size,
               " of ", size, " samples; lower it");
  SIMCLR_CHECK(options.views >= 1 && options.views < 1 << 24, "device loader: views ", options.views,
               ", 1 to 2^24-1 are possible");
  check(options.shard, options.batch_size, "device loader");
  batches_ = size / options.batch_size;

  const Pictures pictures = read_all(dataset, policy.channels, options.most_bytes);
  skipped_ = static_cast<std::int64_t>(pictures.failures.size());
  std::vector<std::string> warnings = pictures.warnings;
  for (const std::string& failure : pictures.failures) warnings.push_back(failure + " (sample skipped)");
  for (const std::string& message : warnings) {
    if (options.on_warning) {
      options.on_warning(message);
    } else {
      std::cerr << "warning: " + message + "\n";
    }
  }
  SIMCLR_CHECK(skipped_ <= size / 2, "device loader: ", skipped_, " of ", size,
               " samples cannot be read, more than half; check the data. The first: ", pictures.failures.front());
  for (const kernels::ImageRef& ref : pictures.refs) readable_.push_back(ref.height > 0);

  const auto refs_size = static_cast<std::int64_t>(pictures.refs.size() * sizeof(kernels::ImageRef));
  std::vector<std::uint8_t> refs(static_cast<std::size_t>(refs_size));
  std::memcpy(refs.data(), pictures.refs.data(), refs.size());
  values_ = pictures.values.tensor().to(device);
  refs_ = Tensor::from(refs, {refs_size}).to(device);
  const std::int64_t own = options.batch_size / options.shard.ranks;
  order_ = Tensor::zeros({batches_ * own}, DType::i32, device);
  index_ = Tensor::zeros({own}, DType::i32, device);
  all_keys_ = Tensor::zeros({options.views * order_.numel(), 3}, DType::i32, device);
  keys_ = Tensor::zeros({options.views * own, 3}, DType::i32, device);
  epoch_ = Tensor::zeros({1}, DType::i32, device);
  group_of_ = dataset.groups();
  if (group_of_.empty()) return;
  all_groups_ = Tensor::zeros({options.views * order_.numel()}, DType::i32, device);
  groups_ = Tensor::zeros({options.views * own}, DType::i32, device);
}

void DeviceLoader::begin(std::uint32_t epoch, std::int64_t first_batch) {
  SIMCLR_CHECK(first_batch >= 0 && first_batch <= batches_, "device loader: batch ", first_batch, " of an epoch of ",
               batches_);
  const auto size = static_cast<std::int64_t>(readable_.size());
  std::vector<std::int64_t> order;
  if (options_.shuffle) {
    order = shuffled_order(size, options_.seed, epoch, options_.shuffle_block);
  } else {
    order.resize(readable_.size());
    std::iota(order.begin(), order.end(), std::int64_t{0});
  }
  const std::int64_t own = index_.numel();
  std::vector<std::int32_t> chosen(static_cast<std::size_t>(order_.numel()));
  for (std::int64_t k = 0; k < order_.numel(); ++k) {
    const std::int64_t position = k / own * options_.batch_size + options_.shard.rank * own + k % own;
    std::int64_t index = order[static_cast<std::size_t>(position)];
    for (std::int64_t other = position + size / 2; !readable_[static_cast<std::size_t>(index)]; ++other) {
      index = order[static_cast<std::size_t>(other % size)];
    }
    chosen[static_cast<std::size_t>(k)] = static_cast<std::int32_t>(index);
  }
  order_.copy_from(Tensor::from(chosen, order_.shape()));
  std::vector<std::int32_t> keys;
  keys.reserve(static_cast<std::size_t>(all_keys_.numel()));
  for (std::int64_t first = 0; first < order_.numel(); first += own) {
    for (std::int32_t v = 0; v < options_.views; ++v) {
      for (std::int64_t i = first; i < first + own; ++i) {
        keys.insert(keys.end(), {chosen[static_cast<std::size_t>(i)], static_cast<std::int32_t>(epoch), v});
      }
    }
  }
  all_keys_.copy_from(Tensor::from(keys, all_keys_.shape()));
  if (all_groups_.defined()) {
    std::vector<std::int32_t> groups;
    for (std::size_t row = 0; row < keys.size(); row += 3) {
      groups.push_back(group_of_[static_cast<std::size_t>(keys[row])]);
    }
    all_groups_.copy_from(Tensor::from(groups, all_groups_.shape()));
  }
  epoch_.fill(static_cast<double>(epoch));
  batch_ = first_batch;
}

bool DeviceLoader::next() {
  if (batch_ == batches_) return false;
  index_.copy_from(order_.narrow(batch_ * index_.numel(), index_.numel()));
  keys_.copy_from(all_keys_.narrow(batch_ * keys_.dim(0), keys_.dim(0)));
  if (groups_.defined()) groups_.copy_from(all_groups_.narrow(batch_ * groups_.numel(), groups_.numel()));
  ++batch_;
  return true;
}

std::vector<std::int64_t> DeviceLoader::skipped_samples() const {
  std::vector<std::int64_t> samples;
  for (std::int64_t i = 0; i < std::ssize(readable_); ++i) {
    if (!readable_[static_cast<std::size_t>(i)]) samples.push_back(i);
  }
  return samples;
}

Input DeviceLoader::views() const {
  SIMCLR_CHECK(batch_ > 0, "device loader: there is no batch yet; call begin() and next()");
  return {kernels::augment(values_, refs_, index_, policy_,
                           {.seed = options_.seed, .views = options_.views, .device_epoch = epoch_}, options_.dtype),
          {},
          keys_,
          groups_};
}

}  // namespace simclr::data
