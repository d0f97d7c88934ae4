#include "common/labelled_part.h"

#include <simclr/core/error.h>
#include <simclr/data/loader.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>

std::vector<std::int64_t> labelled_part(const std::vector<std::int32_t>& labels, double percent, std::uint64_t seed) {
  std::map<std::int32_t, std::vector<std::int64_t>> classes;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] >= 0) classes[labels[i]].push_back(static_cast<std::int64_t>(i));
  }
  std::vector<std::int64_t> part;
  for (const auto& [label, samples] : classes) {
    const auto all = static_cast<std::int64_t>(samples.size());
    const auto count =
        std::max(std::int64_t{1}, static_cast<std::int64_t>(std::lround(percent / 100 * static_cast<double>(all))));
    const std::vector<std::int64_t> order = simclr::data::shuffled_order(all, seed, static_cast<std::uint32_t>(label));
    for (std::int64_t k = 0; k < count; ++k) {
      part.push_back(samples[static_cast<std::size_t>(order[static_cast<std::size_t>(k)])]);
    }
  }
  std::sort(part.begin(), part.end());
  return part;
}

void check_percents(const std::vector<double>& percents) {
  for (const double percent : percents) {
    SIMCLR_CHECK(percent > 0 && percent <= 100, "--labels ", percent, ": percents must be above 0 and at most 100");
  }
}

std::string percent_text(double percent) {
  std::ostringstream text;
  text << percent;
  return text.str();
}
