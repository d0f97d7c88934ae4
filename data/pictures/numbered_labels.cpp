#include "numbered_labels.h"

#include <algorithm>

namespace simclr::data {

NumberedLabels::NumberedLabels(const std::vector<std::int64_t>& numbers) {
  std::vector<std::int64_t> occurring;
  for (const std::int64_t number : numbers) {
    if (number >= 0) occurring.push_back(number);
  }
  std::sort(occurring.begin(), occurring.end());
  occurring.erase(std::unique(occurring.begin(), occurring.end()), occurring.end());
  for (const std::int64_t number : occurring) classes.push_back(std::to_string(number));
  labels.reserve(numbers.size());
  for (const std::int64_t number : numbers) {
    const auto found = std::lower_bound(occurring.begin(), occurring.end(), number);
    labels.push_back(number < 0 ? -1 : static_cast<std::int32_t>(found - occurring.begin()));
  }
}

}  // namespace simclr::data
