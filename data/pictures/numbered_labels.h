#pragma once

// Private: labels that are numbers, of idx files and NumPy arrays, as a data set's classes.

#include <cstdint>
#include <string>
#include <vector>

namespace simclr::data {

/// The numbers that occur, in their order, are the classes, and called by their numbers: labels 900 and 3 give the
/// classes "3" and "900". However large they are, memory grows with the count of classes alone.
struct NumberedLabels {
  /// `numbers`: of each sample; below 0: none.
  explicit NumberedLabels(const std::vector<std::int64_t>& numbers);

  std::vector<std::int32_t> labels;  // of each sample the index in `classes`, -1: none
  std::vector<std::string> classes;
};

}  // namespace simclr::data
