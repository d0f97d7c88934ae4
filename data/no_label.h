#pragma once

// Private: what labels that are texts name, of lists, arrays and shards alike, and which say that there is none.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace simclr::data {

struct LabelClasses {
  std::vector<std::string> classes;            // as sorted_classes() has them
  std::map<std::string, std::int32_t> places;  // among them, of each text that names one
  std::vector<std::string> notes;              // what was made of odd labels, a line each
};

/// "", NaN in any case, "<NA>", "#N/A" and -1 say that there is no label, but for -1 where the only other label is 1.
/// Labels that are all "3.0" or the like, as pandas writes whole numbers beside NaN, are "3". `labels`: and how often
/// each occurs; `sample`: what has them, "recording".
LabelClasses classes_of_labels(const std::map<std::string, std::int64_t>& labels, const std::string& sample);

}  // namespace simclr::data
