#pragma once

// Made-up ids of words.

#include <simclr/core/random.h>
#include <simclr/core/tensor.h>

#include <cstdint>
#include <vector>

namespace bench {

/// i32 of that shape on the CPU, 0 .. entries-1: few of them often and most of them seldom, as words are: the square of
/// a uniform number.
inline simclr::Tensor words(const simclr::Shape& shape, std::int64_t entries) {
  const simclr::Random random(1, simclr::RandomPurpose::user);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const double u = random.uniform(static_cast<std::uint32_t>(i));
    ids[i] = static_cast<std::int32_t>(u * u * static_cast<double>(entries));
  }
  return simclr::Tensor::from(ids, shape);
}

}  // namespace bench
