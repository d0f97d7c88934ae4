#pragma once

#include <simclr/core/error.h>
#include <simclr/data/dataset.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace simclr::test {

inline constexpr std::int64_t sample_bytes = 7 * 5 * 3;

inline std::uint8_t byte_of(std::int64_t i, std::size_t k) {
  return static_cast<std::uint8_t>(31 * i + 7 * static_cast<std::int64_t>(k) + 1);
}

inline std::string warning_of(std::int64_t i) {
  return i % 4 == 1 ? "sample " + std::to_string(i) + " ends early" : "";
}

/// Decodes each sample when it is asked for, and counts. Sample i, `tall` times as tall for those that 10 divides.
/// Where `broken` holds it cannot be read.
class Decoding final : public data::Dataset {
 public:
  explicit Decoding(std::int64_t count, std::int64_t tall = 1)
      : decoded(static_cast<std::size_t>(count)), tall_(tall), classes_(4, "class") {}

  std::int64_t size() const override { return static_cast<std::int64_t>(decoded.size()); }
  data::Sample sample(std::int64_t i, int = 0) const override {
    ++decoded[static_cast<std::size_t>(i)];
    if (i == broken) fail("sample ", i, " is broken");
    if (meanwhile) std::exchange(meanwhile, nullptr)();
    struct Owner {
      std::vector<std::uint8_t> bytes;
      std::string warning;
    };
    const Shape shape{i % 10 == 0 ? 7 * tall_ : 7, 5, 3};
    const auto owner = std::make_shared<Owner>();
    owner->bytes.resize(static_cast<std::size_t>(shape.numel()));
    for (std::size_t k = 0; k < owner->bytes.size(); ++k) owner->bytes[k] = byte_of(i, k);
    owner->warning = warning_of(i);
    return {.bytes = std::as_bytes(std::span(owner->bytes)),
            .shape = shape,
            .label = label(i),
            .owner = owner,
            .warning = owner->warning,
            .finite = i % 3 == 0};
  }
  std::int32_t label(std::int64_t i) const override { return static_cast<std::int32_t>(i % 4); }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string describe() const override { return "counted samples"; }

  std::int64_t decodes() const {
    std::int64_t sum = 0;
    for (const auto& count : decoded) sum += count;
    return sum;
  }

  mutable std::vector<std::atomic<int>> decoded;
  std::int64_t broken = -1;
  mutable std::function<void()> meanwhile;  // happens once while a sample is decoded

 private:
  std::int64_t tall_;
  std::vector<std::string> classes_;
};

/// Whether the sample is what Decoding gives.
inline bool is_right(const data::Sample& sample, std::int64_t i) {
  if (static_cast<std::int64_t>(sample.bytes.size()) != sample.shape.numel() || sample.label != i % 4) return false;
  for (std::size_t k = 0; k < sample.bytes.size(); ++k) {
    if (sample.values<std::uint8_t>()[k] != byte_of(i, k)) return false;
  }
  return sample.bytes.size() % sample_bytes == 0 && sample.owner != nullptr && sample.finite == (i % 3 == 0) &&
         sample.warning == warning_of(i);
}

/// One pass in a scattered order over the samples that `part` divides with the rest `first`; whether all are right.
inline bool pass(const data::Dataset& set, std::int64_t first = 0, std::int64_t part = 1) {
  bool right = true;
  for (std::int64_t k = 0; k < set.size(); ++k) {
    const std::int64_t i = k * 37 % set.size();
    if (i % part == first) right = is_right(set.sample(i), i) && right;
  }
  return right;
}

}  // namespace simclr::test
