#pragma once

// A data set of single bytes, views of it, and what a loader serves of them.

#include <simclr/core/error.h>
#include <simclr/core/random.h>
#include <simclr/data/loader.h>

#include "support/catch.h"

#include <atomic>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace simclr::data {

/// Sample i is the one byte i, class i % 10; those for which `broken` holds cannot be read.
class Numbers : public Dataset {
 public:
  explicit Numbers(std::int64_t size, std::function<bool(std::int64_t)> broken = {})
      : broken_(std::move(broken)), classes_(10, "digit") {
    for (std::int64_t i = 0; i < size; ++i) bytes_.push_back(static_cast<std::uint8_t>(i));
  }

  std::int64_t size() const override { return static_cast<std::int64_t>(bytes_.size()); }
  Sample sample(std::int64_t i, int) const override {
    ++reads;
    SIMCLR_CHECK(!broken_ || !broken_(i), "numbers: file", i, " is corrupt");
    return {.bytes = std::as_bytes(std::span(bytes_)).subspan(static_cast<std::size_t>(i), 1),
            .shape = {1},
            .label = label(i),
            .owner = nullptr};
  }
  std::int32_t label(std::int64_t i) const override { return static_cast<std::int32_t>(i % 10); }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string describe() const override { return "numbers"; }

  mutable std::atomic<int> reads = 0;

 private:
  std::function<bool(std::int64_t)> broken_;
  std::vector<std::uint8_t> bytes_;
  std::vector<std::string> classes_;
};

/// View = [byte, a random number of the view, the view's number].
class Probes : public ViewMaker {
 public:
  Shape view_shape() const override { return {3}; }
  std::int32_t make_view(const Sample& sample, const ViewKey& key, std::byte* out) const override {
    if (on_view) on_view(key.sample);
    auto* values = reinterpret_cast<float*>(out);
    values[0] = sample.values<std::uint8_t>()[0];
    values[1] = Random(key.seed, RandomPurpose::augmentation, key.sample, key.epoch, key.view).uniform(0);
    values[2] = static_cast<float>(key.view);
    return 3;
  }
  std::function<void(std::uint32_t)> on_view;
};

/// What an epoch served, sample by sample: [index, label, every view's numbers].
inline std::vector<std::vector<float>> served(const Loader& loader, std::uint32_t epoch, std::int64_t first_batch = 0) {
  std::vector<std::vector<float>> rows;
  for (const Batch& batch : loader.epoch(epoch, first_batch)) {
    const int views = loader.towers()[0].views;
    REQUIRE(batch.towers[0].x.shape() == Shape{views * batch.size, 3});
    REQUIRE(static_cast<std::int64_t>(batch.labels.size()) == batch.size);
    REQUIRE(static_cast<std::int64_t>(batch.indices.size()) == batch.size);
    const auto values = batch.towers[0].x.to_vector<float>();
    for (std::int64_t i = 0; i < batch.size; ++i) {
      const auto at = static_cast<std::size_t>(i);
      std::vector<float> row{static_cast<float>(batch.indices[at]), static_cast<float>(batch.labels[at])};
      for (int v = 0; v < views; ++v) {
        const auto first = values.begin() + (v * batch.size + i) * 3;
        row.insert(row.end(), first, first + 3);
      }
      rows.push_back(row);
    }
  }
  return rows;
}

}  // namespace simclr::data
