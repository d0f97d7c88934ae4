#pragma once

#include "run/findings.h"

#include <simclr/data/dataset.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>

// What --check sees of a set by looking at some of its samples.

/// Calls use(i) for `most` samples, evenly over the set. Returns those of which it throws simclr::Error.
Unread look_at_some(const simclr::data::Dataset& samples, std::int64_t most,
                    const std::function<void(std::int64_t)>& use);

/// Samples of which one before has the same bytes.
class Copies {
 public:
  /// Sample i's bytes, its file's, or whatever else tells it from others.
  void add(std::span<const std::byte> bytes, std::int64_t i, const simclr::data::Dataset& samples);

  std::int64_t count() const { return count_; }
  /// The first, where samples have names: "b/1.wav is a/1.wav".
  const std::string& first() const { return first_; }

 private:
  std::int64_t count_ = 0;
  std::string first_;
  std::map<std::size_t, std::int64_t> of_bytes_;  // the first sample with bytes of this digest
};

/// Adds a finding for more than one in a hundred. `read`: how many were looked at; `sample`: what one is called,
/// "recording".
void find_copies(const Copies& copies, std::int64_t read, const std::string& sample, Findings& findings);
