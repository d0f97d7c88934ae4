#include "modalities/picture_policy.h"

#include "modalities/picture_rows.h"

#include <algorithm>
#include <vector>

namespace data = simclr::data;

namespace {

/// A number a channel, or more.
void take_numbers(const nlohmann::ordered_json& from, int channels, float* numbers) {
  const auto values = from.get<std::vector<float>>();
  SIMCLR_CHECK(std::ssize(values) >= channels, "there are ", values.size(), " means or deviations for ", channels,
               " channels");
  std::copy_n(values.begin(), channels, numbers);
}

}  // namespace

data::Augmentation preprocessing_of(const nlohmann::ordered_json& from) {
  const int channels = from.at("channels").get<int>();
  data::Augmentation policy = data::Augmentation::evaluation(from.at("size").get<int>(), channels);
  policy.interpolation = named(interpolation_names, from.at("interpolation").get<std::string>(), "interpolation");
  take_numbers(from.at("mean"), channels, policy.mean);
  take_numbers(from.at("stddev"), channels, policy.stddev);
  check(policy);
  return policy;
}

int said_of(int channels) {
  return std::max(3, channels);
}
