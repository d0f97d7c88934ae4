#include "program/command_line.h"

#include "run/command_line.h"
#include "run/option_line.h"
#include "run/run_folder.h"
#include "train/run_data.h"
#include "train/training_config.h"
#include "train/training_rows.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/simclr.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

namespace {

/// The value of an option that must be known before the others are read; empty: not given.
std::string value_of(std::string_view option, int argc, char** argv) {
  std::string value;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == option && i + 1 < argc) value = argv[i + 1];
    if (argument.starts_with(option) && argument.substr(option.size()).starts_with('=')) {
      value = argument.substr(option.size() + 1);
    }
  }
  return value;
}

/// The options of the run in a folder: those of its config.json; where that is missing, of its newest checkpoint that
/// can be read, or of its weights. Empty: there is no run.
std::optional<TrainingOptions> options_of_run(const std::filesystem::path& folder, Modality& modality) {
  if (folder.empty()) return std::nullopt;  // check() refuses it
  const std::filesystem::path written = folder / "config.json";
  std::error_code error;
  if (std::filesystem::exists(std::filesystem::symlink_status(written, error))) {
    try {
      return options_from_json(read_config(written.string()), written.string(), modality);
    } catch (const simclr::Error& problem) {
      simclr::fail(problem.what(), "; mend it, or move it away and let --resume read the options from a checkpoint");
    }
  }
  std::vector<std::filesystem::path> files;
  for (const auto& file : simclr::nn::CheckpointFolder(folder / checkpoint_folder).list()) files.push_back(file.path);
  files.push_back(folder / checkpoint_folder / "best.safetensors");
  files.push_back(folder / weights_file);
  for (const auto& file : files) {
    simclr::nn::Metadata metadata;
    try {
      metadata = simclr::nn::read_checkpoint_metadata(file);
    } catch (const simclr::Error&) {
      continue;
    }
    if (!metadata.contains("config")) continue;
    TrainingOptions o = options_from_json(metadata["config"], file.string(), modality);
    o.started_in = metadata[started_in_key];  // final weights have none
    return o;
  }
  return std::nullopt;
}

/// What the command line changes: a preset, a configuration, or that of the run that goes on. --help shows its values.
TrainingOptions base_options(int argc, char** argv, Modality& modality) {
  const std::string preset = value_of("--preset", argc, argv), config = value_of("--config", argc, argv);
  SIMCLR_CHECK(preset.empty() || config.empty(), "--preset and --config: give one of them; a configuration is whole");
  TrainingOptions o;
  std::optional<TrainingOptions> written;
  if (!config.empty()) {
    written = options_from_json(read_config(config, "--config"), config, modality);
  } else if (std::find(argv, argv + argc, std::string_view("--resume")) != argv + argc) {
    written = options_of_run(value_of("--out", argc, argv), modality);
  }
  if (written) {
    o = *written;
    SIMCLR_CHECK(preset.empty() || preset == o.recipe.name, "--preset ", preset, ": ",
                 config.empty() ? value_of("--out", argc, argv) : config, " is of a run with ", o.recipe.name,
                 "; leave --preset out, or choose another --out");
  } else {
    use_recipe(o, modality, "");
    if (!preset.empty()) {
      const std::string wrong = training_table(o, modality).row_of(&o.recipe.name).set(preset);
      SIMCLR_CHECK(wrong.empty(), "--preset ", preset, ": ", wrong);
      use_recipe(o, modality, preset);
    }
  }
  return o;
}

/// Where the data of the configuration lie, of the run that goes on where there is none.
std::string find_data(const TrainingOptions& o, const std::string& begun_in, const std::string& config) {
  try {
    return data_of_run(o.data_dir, begun_in, config.empty() ? o.out : config);
  } catch (const simclr::Error& error) {
    const std::filesystem::path weights = std::filesystem::path(o.out) / weights_file;
    std::error_code ignored;
    if (!config.empty() || !std::filesystem::exists(weights, ignored)) throw;
    simclr::fail("--resume: the run is finished, ", simclr::printable(weights.string()), " are its weights; ",
                 error.what());
  }
}

/// Where the data, the caches and what else lie whose paths are another run's, or are those of the run that goes on.
void find_places(TrainingOptions& o, ModalityOptions& modality, const std::string& config) {
  const std::string begun_in = std::exchange(o.started_in, ""), run = config.empty() ? o.out : config;
  const auto written = [&o](const char* option) {  // else typed, or not given: it is from here
    const auto source = o.sources.find(option);
    return source != o.sources.end() && !source->second.empty();
  };
  const bool data = written("data"), cache = written("cache-dir");
  if (!config.empty() && begun_in.empty()) return;  // of no run, but written by hand
  const std::string data_found = data ? find_data(o, begun_in, config) : o.data_dir;
  std::string cache_found = cache ? path_of_run(o.cache_dir, begun_in, run) : o.cache_dir;
  std::error_code error;  // a copied run finds its caches here where it finds its data here
  if (!std::filesystem::is_directory(cache_found, error) && std::filesystem::is_directory(o.cache_dir, error)) {
    cache_found = o.cache_dir;
  }
  bool elsewhere = data_found != o.data_dir || cache_found != o.cache_dir, all = data && cache;
  const std::vector<OptionPath> paths = modality.paths();
  for (const OptionPath& each : paths) {
    each.found->clear();
    all = all && written(each.option);
    const std::string found = written(each.option) ? path_of_run(*each.path, begun_in, run) : *each.path;
    if (found == *each.path || !std::filesystem::exists(found, error)) continue;
    *each.found = found;
    elsewhere = true;
  }
  if (!elsewhere) return;
  if (config.empty() && all) {  // the run's own files stay as they are
    o.started_in = begun_in;
    o.data_found = data_found;
    o.cache_found = cache_found;
  } else {
    o.data_dir = data_found;
    o.cache_dir = cache_found;
    for (const OptionPath& each : paths) {
      if (!each.found->empty()) *each.path = std::exchange(*each.found, "");
    }
  }
}

/// What a preset is, for --help: lines of at most 120 characters.
std::string preset_text(const Recipe& r) {
  std::string text = r.description;
  if (!r.published.empty()) text += ": " + r.published + " published";
  if (!r.differs.empty()) text += ". Its source differs: " + r.differs;
  const std::string indent(14, ' ');
  std::string line = "  " + r.name + std::string(12 - r.name.size(), ' '), out;
  std::istringstream words(text);
  for (std::string word; words >> word; line += word + " ") {
    if (line.size() + word.size() <= 120) continue;
    out += line.substr(0, line.size() - 1) + "\n";
    line = indent;
  }
  return out + line.substr(0, line.size() - 1) + "\n";
}

/// All presets, for the end of --help.
std::string presets_text(const Modality& modality) {
  std::string list;
  for (const Recipe& each : modality.recipes()) list += preset_text(each);
  return "Presets:\n" + list + "\nThe defaults shown are those of the preset or the configuration that is given.";
}

}  // namespace

bool parse_command_line(const char* name, int argc, char** argv, TrainingOptions& o, Modality& modality) {
  refuse_repeated_options(argc, argv);
  o = base_options(argc, argv, modality);
  o.program = name;
  OptionTable table = training_table(o, modality);
  std::string config;
  table.group("");
  table.add("config", config, "A run's config.json, to repeat it; the other options change it").command_line_only();
  CLI::App app(
      "Pre-trains an encoder by contrastive learning, without labels unless --method says so, then "
      "measures what it learned.",
      name);
  app.footer(presets_text(modality));
  if (!parse(app, table, argc, argv)) return false;
  o.sources = table.sources;
  find_places(o, modality, config);
  return true;
}
