#pragma once

// Private: the steps of padded sequences that are their own, one behind the other, on the CPU.

#include <simclr/core/tensor.h>
#include <simclr/kernels/shared/data_or_null.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace simclr::kernels {

/// Step t of sequence i is row start[i] + t of `count` rows.
struct OwnSteps {
  std::vector<std::int64_t> length, start;  // of each sequence
  std::int64_t count = 0;

  OwnSteps(const Tensor& lengths, std::int64_t sequences, std::int64_t steps) {
    const std::int32_t* own = lengths_or_null(lengths);
    for (std::int64_t i = 0; i < sequences; ++i) {
      length.push_back(own == nullptr ? steps : own[i]);
      start.push_back(count);
      count += length.back();
    }
  }

  /// All sequences, the longest first.
  std::vector<std::int64_t> by_length() const {
    std::vector<std::int64_t> order(length.size());
    std::iota(order.begin(), order.end(), std::int64_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
      return length[static_cast<std::size_t>(a)] > length[static_cast<std::size_t>(b)];
    });
    return order;
  }
};

}  // namespace simclr::kernels
