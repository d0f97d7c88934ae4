#pragma once

#include "run/option_file.h"
#include "train/training_options.h"
#include "train/training_rows.h"

#include <string>

/// What config.json holds: every option that shapes a run, so that --config FILE repeats it. `rows`: Modality::rows(),
/// here and below.
nlohmann::ordered_json to_json(const TrainingOptions& options, const AddRows& rows);

/// The options that a configuration's text gives; keys that it lacks are the preset's. `where` begins an error's line.
/// Throws simclr::Error for text that is no JSON object, a value of another type or outside its range, and an unknown
/// or repeated key, with the nearest name that there is.
TrainingOptions options_from_json(const std::string& text, const std::string& where, const AddRows& rows);

/// The same, of a configuration that has been parsed.
TrainingOptions options_from_json(const nlohmann::ordered_json& config, const std::string& where, const AddRows& rows);
