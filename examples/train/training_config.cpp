#include "train/training_config.h"

#include <simclr/core/error.h>
#include <simclr/core/parallel.h>

#include <algorithm>

using nlohmann::ordered_json;

ordered_json to_json(const TrainingOptions& options, ModalityOptions& modality) {
  TrainingOptions o = options;
  o.threads = std::min(simclr::threads() * o.local_ranks, 1024);  // what 0 came to
  return to_json(training_table(o, modality));
}

TrainingOptions options_from_json(const std::string& text, const std::string& where, ModalityOptions& modality) {
  return options_from_json(parse_config(text, where), where, modality);
}

TrainingOptions options_from_json(const ordered_json& config, const std::string& where, ModalityOptions& modality) {
  TrainingOptions o;
  use_recipe(o, modality, "");
  ordered_json first = ordered_json::object();  // the preset's values are those that the other keys change
  for (const char* key : {"modality", "preset"}) {
    if (config.contains(key)) first[key] = config[key];
  }
  OptionTable beginning = training_table(o, modality);
  read_options(beginning, first, where);
  use_recipe(o, modality, o.recipe.name);
  OptionTable table = training_table(o, modality);
  read_options(table, config, where);
  if (const auto found = config.find(started_in_key); found != config.end()) {
    SIMCLR_CHECK(found->is_string(), where, ": \"", started_in_key, "\": must be a string, the path of a folder");
    o.started_in = found->get<std::string>();
  }
  o.sources = table.sources;
  return o;
}
