#pragma once

#include "run/option_file.h"
#include "train/training_options.h"
#include "train/training_rows.h"

#include <string>

/// What config.json holds: every option that shapes a run, the modality's own among them, so that --config FILE repeats
/// it.
nlohmann::ordered_json to_json(const TrainingOptions& options, ModalityOptions& modality);

/// The options that a configuration's text gives; `modality` takes those that are its own. Keys that it lacks are the
/// preset's. `where` begins an error's line. Throws simclr::Error for text that is no JSON object, a configuration of
/// another modality, a value of another type or outside its range, and an unknown or repeated key, with the nearest
/// name that there is.
TrainingOptions options_from_json(const std::string& text, const std::string& where, ModalityOptions& modality);

/// The same, of a configuration that has been parsed.
TrainingOptions options_from_json(const nlohmann::ordered_json& config, const std::string& where,
                                  ModalityOptions& modality);
