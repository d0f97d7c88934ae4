#pragma once

#include <simclr/core/export.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <string>
#include <vector>

namespace simclr {

/// The sizes of a tensor, outermost first. Rank 0 is a scalar. At most 6 dimensions.
class SIMCLR_API Shape {
 public:
  static constexpr int max_rank = 6;

  Shape() = default;
  /// Throws Error for a negative size, for more than 6 of them, and where their product passes 2^59, so that
  /// bytes can be counted.
  Shape(std::initializer_list<std::int64_t> sizes);
  explicit Shape(const std::vector<std::int64_t>& sizes);

  int rank() const { return rank_; }
  /// Size of dimension `i`; negative `i` counts from the end. Throws Error outside the rank.
  std::int64_t operator[](int i) const;
  /// The product of all sizes; 1 for a scalar.
  std::int64_t numel() const { return numel_; }

  const std::int64_t* begin() const { return sizes_.data(); }
  const std::int64_t* end() const { return sizes_.data() + rank_; }

  /// This shape with its first dimension replaced.
  Shape with_first(std::int64_t size) const;

  bool operator==(const Shape& other) const;

 private:
  void assign(const std::int64_t* sizes, std::size_t count);

  std::array<std::int64_t, max_rank> sizes_{};
  int rank_ = 0;
  std::int64_t numel_ = 1;
};

/// "[2,3]"
SIMCLR_API std::string to_string(const Shape& shape);
SIMCLR_API std::ostream& operator<<(std::ostream& out, const Shape& shape);

}  // namespace simclr
