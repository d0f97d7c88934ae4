#include "train/training_config.h"

#include "train/training_rows.h"

#include <simclr/core/parallel.h>

using nlohmann::ordered_json;

ordered_json to_json(const TrainingOptions& options) {
  TrainingOptions o = options;
  o.threads = simclr::threads();  // what 0 came to
  return to_json(training_table(o));
}

TrainingOptions options_from_json(const std::string& text, const std::string& where) {
  return options_from_json(parse_config(text, where), where);
}

TrainingOptions options_from_json(const ordered_json& config, const std::string& where) {
  TrainingOptions o;
  o.recipe = recipe("quick");
  if (const auto preset = config.find("preset"); preset != config.end()) {  // whose values the other keys change
    OptionTable table = training_table(o);
    ordered_json alone;
    alone["preset"] = *preset;
    read_options(table, alone, where);
    o.recipe = recipe(o.recipe.name);
  }
  OptionTable table = training_table(o);
  read_options(table, config, where);
  o.sources = table.sources;
  return o;
}
