#pragma once

#include "train/training_options.h"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

/// What config.json holds: every option that shapes a run, so that `train_cifar --config FILE` repeats it.
nlohmann::ordered_json to_json(const TrainingOptions& options);

/// The options that a configuration's text gives; keys that it lacks are the preset's. `where` begins an error's line.
/// Throws simclr::Error for text that is no JSON object, a value of another type, and an unknown or repeated key, with
/// the nearest name that there is.
TrainingOptions options_from_json(const std::string& text, const std::string& where);

/// As options_from_json, from a file.
TrainingOptions read_config(const std::string& path);

/// Where two configurations make different runs: a key ("augmentation.hue") and its values. What may change when a run
/// goes on (where data lie, device, threads, evaluation) is left out.
struct Difference {
  std::string key, before, after;
};
std::vector<Difference> differences(const nlohmann::ordered_json& a, const nlohmann::ordered_json& b);
