#include "train/training_config.h"

#include <simclr/core/parallel.h>

using nlohmann::ordered_json;

ordered_json to_json(const TrainingOptions& options, const AddRows& rows) {
  TrainingOptions o = options;
  o.threads = simclr::threads();  // what 0 came to
  return to_json(training_table(o, rows));
}

TrainingOptions options_from_json(const std::string& text, const std::string& where, const AddRows& rows) {
  return options_from_json(parse_config(text, where), where, rows);
}

TrainingOptions options_from_json(const ordered_json& config, const std::string& where, const AddRows& rows) {
  TrainingOptions o;
  o.recipe = recipe("quick");
  if (const auto preset = config.find("preset"); preset != config.end()) {  // whose values the other keys change
    OptionTable table = training_table(o, rows);
    ordered_json alone;
    alone["preset"] = *preset;
    read_options(table, alone, where);
    o.recipe = recipe(o.recipe.name);
  }
  OptionTable table = training_table(o, rows);
  read_options(table, config, where);
  o.sources = table.sources;
  return o;
}
