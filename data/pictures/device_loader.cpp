#include <simclr/core/error.h>
#include <simclr/core/parallel.h>
#include <simclr/data/loader.h>
#include <simclr/data/pictures/device_loader.h>

#include <algorithm>
#include <cstring>
#include <iostream>
#include <limits>
#include <numeric>
#include <optional>

namespace simclr::data {
namespace {

constexpr std::int64_t chunk = 1024;  // samples that are decoded side by side

struct Pictures {
  std::vector<std::uint8_t> bytes;
  std::vector<kernels::ImageRef> refs;  // one a sample; empty pictures where it could not be read
  std::vector<std::string> failures, warnings;
};

kernels::ImageRef ref_of(const Sample& sample, std::int64_t index, std::size_t offset) {
  const Shape& shape = sample.shape;
  SIMCLR_CHECK(shape.rank() == 3 && shape.numel() > 0 && (shape[2] == 1 || shape[2] == 3 || shape[2] == 4) &&
                   static_cast<std::int64_t>(sample.bytes.size()) == shape.numel() && sample.dtype == DType::u8,
               "device loader: sample ", index, " is ", sample.dtype, " ", shape,
               ", a picture is u8 [height,width,channels] with 1, 3 or 4 channels");
  return {.offset = static_cast<std::int64_t>(offset),
          .height = static_cast<std::int32_t>(shape[0]),
          .width = static_cast<std::int32_t>(shape[1]),
          .channels = static_cast<std::int32_t>(shape[2]),
          .sample = static_cast<std::uint32_t>(index)};
}

Pictures read_all(const Dataset& dataset, std::size_t most_bytes) {
  Pictures pictures;
  const std::int64_t size = dataset.size();
  pictures.refs.resize(static_cast<std::size_t>(size));
  for (std::int64_t first = 0; first < size; first += chunk) {
    const std::int64_t count = std::min(chunk, size - first);
    std::vector<std::optional<Sample>> samples(static_cast<std::size_t>(count));
    std::vector<std::string> failures(samples.size());
    parallel_for(count, 16, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const auto k = static_cast<std::size_t>(i);
        try {
          Sample sample = dataset.sample(first + i);
          ref_of(sample, first + i, 0);
          samples[k] = std::move(sample);
        } catch (const Error& error) {
          failures[k] = error.what();
        }
      }
    });
    for (std::int64_t i = 0; i < count; ++i) {
      const auto k = static_cast<std::size_t>(i);
      if (!samples[k]) {
        pictures.failures.push_back(failures[k]);
        continue;
      }
      if (!samples[k]->warning.empty()) pictures.warnings.emplace_back(samples[k]->warning);
      pictures.refs[static_cast<std::size_t>(first + i)] = ref_of(*samples[k], first + i, pictures.bytes.size());
      const auto pixels = samples[k]->values<std::uint8_t>();
      pictures.bytes.insert(pictures.bytes.end(), pixels.begin(), pixels.end());
      SIMCLR_CHECK(most_bytes == 0 || pictures.bytes.size() <= most_bytes,
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
  batches_ = size / options.batch_size;

  const Pictures pictures = read_all(dataset, options.most_bytes);
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
  bytes_ = Tensor::from(pictures.bytes, {static_cast<std::int64_t>(pictures.bytes.size())}).to(device);
  refs_ = Tensor::from(refs, {refs_size}).to(device);
  order_ = Tensor::zeros({batches_ * options.batch_size}, DType::i32, device);
  index_ = Tensor::zeros({options.batch_size}, DType::i32, device);
  all_keys_ = Tensor::zeros({options.views * order_.numel(), 3}, DType::i32, device);
  keys_ = Tensor::zeros({options.views * options.batch_size, 3}, DType::i32, device);
  epoch_ = Tensor::zeros({1}, DType::i32, device);
}

void DeviceLoader::begin(std::uint32_t epoch, std::int64_t first_batch) {
  SIMCLR_CHECK(first_batch >= 0 && first_batch <= batches_, "device loader: batch ", first_batch, " of an epoch of ",
               batches_);
  const auto size = static_cast<std::int64_t>(readable_.size());
  std::vector<std::int64_t> order;
  if (options_.shuffle) {
    order = shuffled_order(size, options_.seed, epoch);
  } else {
    order.resize(readable_.size());
    std::iota(order.begin(), order.end(), std::int64_t{0});
  }
  std::vector<std::int32_t> chosen(static_cast<std::size_t>(order_.numel()));
  for (std::int64_t position = 0; position < order_.numel(); ++position) {
    std::int64_t index = order[static_cast<std::size_t>(position)];
    for (std::int64_t other = position + size / 2; !readable_[static_cast<std::size_t>(index)]; ++other) {
      index = order[static_cast<std::size_t>(other % size)];
    }
    chosen[static_cast<std::size_t>(position)] = static_cast<std::int32_t>(index);
  }
  order_.copy_from(Tensor::from(chosen, order_.shape()));
  std::vector<std::int32_t> keys;
  keys.reserve(static_cast<std::size_t>(all_keys_.numel()));
  for (std::int64_t first = 0; first < order_.numel(); first += options_.batch_size) {
    for (std::int32_t v = 0; v < options_.views; ++v) {
      for (std::int64_t i = first; i < first + options_.batch_size; ++i) {
        keys.insert(keys.end(), {chosen[static_cast<std::size_t>(i)], static_cast<std::int32_t>(epoch), v});
      }
    }
  }
  all_keys_.copy_from(Tensor::from(keys, all_keys_.shape()));
  epoch_.fill(static_cast<double>(epoch));
  batch_ = first_batch;
}

bool DeviceLoader::next() {
  if (batch_ == batches_) return false;
  index_.copy_from(order_.narrow(batch_ * options_.batch_size, options_.batch_size));
  keys_.copy_from(all_keys_.narrow(batch_ * keys_.dim(0), keys_.dim(0)));
  ++batch_;
  return true;
}

Input DeviceLoader::views() const {
  SIMCLR_CHECK(batch_ > 0, "device loader: there is no batch yet; call begin() and next()");
  return {kernels::augment(bytes_, refs_, index_, policy_,
                           {.seed = options_.seed, .views = options_.views, .device_epoch = epoch_}, options_.dtype),
          {},
          keys_};
}

}  // namespace simclr::data
