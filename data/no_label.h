#pragma once

// Private: labels of a list that say that there is none.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace simclr::data {

/// Of the labels of a list.
struct NoLabels {
  std::vector<std::string> none;      // those that say that there is none
  std::vector<std::string> doubtful;  // those that might, but count as classes
  bool signs = false;                 // -1 is a class, since the only other label is 1
};

/// `labels`: and how often each occurs.
NoLabels find_no_labels(const std::map<std::string, std::int64_t>& labels);

/// Of labels that are all "3.0" or the like, as pandas writes whole numbers beside NaN: they are "3".
bool all_end_in_zero(const std::set<std::string>& labels);

}  // namespace simclr::data
