#include "numbered_labels.h"
#include "../no_label.h"

#include <algorithm>
#include <map>
#include <utility>

namespace simclr::data {

NumberedLabels::NumberedLabels(const std::vector<std::int64_t>& numbers) {
  std::vector<std::int64_t> occurring = numbers;
  std::sort(occurring.begin(), occurring.end());
  occurring.erase(std::unique(occurring.begin(), occurring.end()), occurring.end());
  std::map<std::string, std::int64_t> texts;
  for (const std::int64_t number : occurring) {
    if (number != none) texts.emplace(std::to_string(number), 1);
  }
  LabelClasses named = classes_of_labels(texts, "picture");
  std::vector<std::int32_t> places;
  for (const std::int64_t number : occurring) {
    const auto place = named.places.find(std::to_string(number));
    places.push_back(place == named.places.end() ? -1 : place->second);
  }
  classes = std::move(named.classes);
  labels.reserve(numbers.size());
  for (const std::int64_t number : numbers) {
    const auto found = std::lower_bound(occurring.begin(), occurring.end(), number);
    labels.push_back(places[static_cast<std::size_t>(found - occurring.begin())]);
  }
}

}  // namespace simclr::data
