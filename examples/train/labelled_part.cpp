#include "train/labelled_part.h"

#include <simclr/core/error.h>
#include <simclr/data/loader.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <sstream>

namespace {

using Indices = std::vector<std::int64_t>;

/// The samples of each class, in ascending order.
std::map<std::int32_t, Indices> by_class(const std::vector<std::int32_t>& labels) {
  std::map<std::int32_t, Indices> classes;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] >= 0) classes[labels[i]].push_back(static_cast<std::int64_t>(i));
  }
  return classes;
}

/// `count_of(n)` of each class's n samples, as the seed says.
template <class CountOf>
Indices chosen(const std::vector<std::int32_t>& labels, std::uint64_t seed, CountOf count_of) {
  Indices part;
  for (const auto& [label, samples] : by_class(labels)) {
    const auto all = std::ssize(samples);
    const Indices order = simclr::data::shuffled_order(all, seed, static_cast<std::uint32_t>(label));
    for (std::int64_t k = 0; k < count_of(all); ++k) {
      part.push_back(samples[static_cast<std::size_t>(order[static_cast<std::size_t>(k)])]);
    }
  }
  std::sort(part.begin(), part.end());
  return part;
}

std::int64_t rounded(double value) {
  return static_cast<std::int64_t>(std::lround(value));
}

}  // namespace

Indices labelled_part(const std::vector<std::int32_t>& labels, double percent, std::uint64_t seed) {
  return chosen(labels, seed, [percent](std::int64_t all) {
    return std::max(std::int64_t{1}, rounded(percent / 100 * static_cast<double>(all)));
  });
}

Indices every_fifth(const std::vector<std::int32_t>& labels) {
  Indices part;
  for (const auto& [label, samples] : by_class(labels)) {
    const std::int64_t all = std::ssize(samples), count = rounded(static_cast<double>(all) / 5);
    for (std::int64_t k = 0; k < count; ++k) part.push_back(samples[static_cast<std::size_t>(k * all / count)]);
  }
  std::sort(part.begin(), part.end());
  return part;
}

Indices fifth_of_groups(const std::vector<std::int32_t>& labels, const std::vector<std::int32_t>& groups) {
  std::map<std::int32_t, std::int64_t> place;  // of each group with a label
  std::vector<std::int32_t> of_group;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] >= 0 && place.emplace(groups[i], std::ssize(of_group)).second) of_group.push_back(labels[i]);
  }
  const Indices taken = every_fifth(of_group);
  Indices part;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0 || !std::binary_search(taken.begin(), taken.end(), place.at(groups[i]))) continue;
    part.push_back(static_cast<std::int64_t>(i));
  }
  return part;
}

Indices held_out_part(const std::vector<std::int32_t>& labels, double share, std::uint64_t seed) {
  return chosen(labels, seed, [share](std::int64_t all) {
    const std::int64_t count = std::max(std::int64_t{1}, rounded(share * static_cast<double>(all)));
    return std::min(count, all - 1);
  });
}

std::vector<std::int32_t> labels_of(const simclr::data::Dataset& samples) {
  std::vector<std::int32_t> labels(static_cast<std::size_t>(samples.size()));
  for (std::int64_t i = 0; i < samples.size(); ++i) labels[static_cast<std::size_t>(i)] = samples.label(i);
  return labels;
}

void check_percents(const std::vector<double>& percents) {
  std::set<std::string> seen;
  for (const double percent : percents) {
    SIMCLR_CHECK(seen.insert(percent_text(percent)).second, "--labels: ", percent_text(percent),
                 " occurs twice; leave one of them out");
  }
}

std::string percent_text(double percent) {
  std::ostringstream text;
  text << percent;
  return text.str();
}
