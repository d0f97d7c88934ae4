#pragma once

#include <simclr/core/export.h>

#include <cstdint>

namespace simclr {

/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a bijection of
/// a 128-bit counter under a 64-bit key. Key 0 and counter 0 give 6627e8d5 e169c58d bc57ac4c 9b00dbd8.
struct Philox {
  struct Block {
    std::uint32_t x[4];
  };

  SIMCLR_HOST_DEVICE static Block block(Block counter, std::uint32_t key0, std::uint32_t key1) {
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * counter.x[0];
      const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * counter.x[2];
      counter = {{static_cast<std::uint32_t>(p1 >> 32) ^ counter.x[1] ^ key0, static_cast<std::uint32_t>(p1),
                  static_cast<std::uint32_t>(p0 >> 32) ^ counter.x[3] ^ key1, static_cast<std::uint32_t>(p0)}};
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    return counter;
  }
};

/// What a random number is for; numbers for different purposes are independent.
enum class RandomPurpose : std::uint8_t {
  initial_weights = 0,
  shuffle = 1,
  augmentation = 2,
  subset = 3,
  dropout = 4,
  user = 255
};

/// A sequence of random numbers that depends on nothing but (seed, purpose, id, epoch, view): never on a
/// position in a batch, a thread or a step count. Number `slot` of it is word slot % 4 of
///   Philox(key = {seed low, seed high}, counter = {slot / 4, id, epoch, purpose << 24 | view}).
class Random {
 public:
  SIMCLR_HOST_DEVICE Random(std::uint64_t seed, RandomPurpose purpose, std::uint32_t id = 0, std::uint32_t epoch = 0,
                            std::uint32_t view = 0)
      : key0_(static_cast<std::uint32_t>(seed)),
        key1_(static_cast<std::uint32_t>(seed >> 32)),
        id_(id),
        epoch_(epoch),
        tag_(static_cast<std::uint32_t>(purpose) << 24 | (view & 0xffffffu)) {}

  /// Numbers 4 index .. 4 index + 3, 32 random bits each.
  SIMCLR_HOST_DEVICE Philox::Block block(std::uint32_t index) const {
    return Philox::block({{index, id_, epoch_, tag_}}, key0_, key1_);
  }

  /// 32 random bits.
  SIMCLR_HOST_DEVICE std::uint32_t bits(std::uint32_t slot) const { return block(slot / 4).x[slot % 4]; }

  /// Uniform in [0, 1): the upper 24 bits times 2^-24, exact in f32.
  SIMCLR_HOST_DEVICE float uniform(std::uint32_t slot) const {
    return static_cast<float>(bits(slot) >> 8) * (1.0f / 16777216.0f);
  }

  /// Uniform in 0 .. n-1 by multiplication and shift (bias under n / 2^32).
  SIMCLR_HOST_DEVICE std::uint32_t below(std::uint32_t n, std::uint32_t slot) const {
    return static_cast<std::uint32_t>((std::uint64_t{bits(slot)} * n) >> 32);
  }

 private:
  std::uint32_t key0_, key1_, id_, epoch_, tag_;
};

}  // namespace simclr
