#pragma once

// Padded sequences for tests: ids and lengths that any language can make, and gradient checks' shapes.

#include <simclr/core/random.h>
#include <simclr/core/tensor.h>

#include <cmath>
#include <cstdint>
#include <ostream>
#include <vector>

namespace simclr::test {

/// Uniform in 0..below-1; element i is draw i of (seed, purpose user).
inline Tensor random_ids(const Shape& shape, std::uint64_t seed, std::int64_t below) {
  const Random random(seed, RandomPurpose::user);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    ids[i] = static_cast<std::int32_t>(random.below(static_cast<std::uint32_t>(below), static_cast<std::uint32_t>(i)));
  }
  return Tensor::from(ids, shape);
}

/// N lengths of 0..steps, among them both ends where there are as many.
inline Tensor random_lengths(std::int64_t sequences, std::uint64_t seed, std::int64_t steps) {
  Tensor lengths = random_ids({sequences}, seed, steps + 1);
  if (sequences > 1) lengths.data<std::int32_t>()[1] = 0;
  if (sequences > 2) lengths.data<std::int32_t>()[2] = static_cast<std::int32_t>(steps);
  return lengths;
}

/// NaN in the padding of x [N,T,C].
inline void spoil_padding(Tensor& x, const Tensor& lengths) {
  for (std::int64_t n = 0; n < x.dim(0); ++n) {
    const std::int64_t length = lengths.data<std::int32_t>()[n], padding = x.dim(1) - length;
    if (padding > 0) x.narrow(n, 1).reshape({x.dim(1), x.dim(2)}).narrow(length, padding).fill(NAN);
  }
}

/// Of attention: N, T, heads, D.
struct AttentionSize {
  std::int64_t sequences, steps, heads, width;

  Shape qkv() const { return {sequences, steps, 3 * heads * width}; }
  Shape y() const { return {sequences, steps, heads * width}; }
};

inline std::ostream& operator<<(std::ostream& out, const AttentionSize& s) {
  return out << s.sequences << "x" << s.steps << ", " << s.heads << " heads of " << s.width;
}

/// [N,T,C], 21 of them, with odd and prime sizes.
inline const std::vector<Shape> sequence_shapes = {
    {1, 1, 1},  {1, 2, 1},  {2, 1, 1},  {1, 1, 2},  {2, 3, 2}, {3, 2, 5},  {1, 7, 3},
    {7, 1, 3},  {4, 5, 1},  {5, 4, 8},  {3, 9, 4},  {9, 3, 7}, {2, 16, 3}, {6, 6, 6},
    {1, 31, 2}, {31, 1, 2}, {2, 2, 33}, {3, 5, 16}, {8, 7, 9}, {4, 13, 5}, {13, 4, 3}};

}  // namespace simclr::test
