#pragma once

// Private: labels that are numbers, of idx files and NumPy arrays, as a data set's classes.

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace simclr::data {

/// The numbers that occur, in their order, are the classes, and called by their numbers: labels 900 and 3 give the
/// classes "3" and "900". However large they are, memory grows with the count of classes alone.
struct NumberedLabels {
  static constexpr std::int64_t none = std::numeric_limits<std::int64_t>::min();

  /// `numbers`: of each sample; `none`: it has none. -1 says so, too, but for where the only other label is 1.
  explicit NumberedLabels(const std::vector<std::int64_t>& numbers);

  std::vector<std::int32_t> labels;  // of each sample the index in `classes`, -1: none
  std::vector<std::string> classes;
};

}  // namespace simclr::data
