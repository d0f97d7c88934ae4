#include "train/encoder_file.h"

#include "run/option_file.h"
#include "run/run_folder.h"
#include "train/run_data.h"

#include <simclr/core/error.h>
#include <simclr/core/serialize.h>
#include <simclr/core/text.h>
#include <simclr/simclr.h>

#include <algorithm>
#include <filesystem>

namespace fs = std::filesystem;
namespace nn = simclr::nn;
using simclr::NamedTensor;

namespace {

/// What the names of the encoder's tensors begin with, of a model of one tower and of several.
constexpr std::string_view encoder_prefixes[] = {"encoder.", "towers.0.encoder."};

/// That of them which a name begins with; empty: none.
std::string_view prefix_of(const std::string& name) {
  for (const std::string_view prefix : encoder_prefixes) {
    if (name.starts_with(prefix)) return prefix;
  }
  return "";
}

/// Throws simclr::Error where a configuration says that it is of another kind of data.
void check_modality(const nlohmann::ordered_json& config, const Modality& modality) {
  const std::string of = config.value("modality", std::string(modality.name()));
  SIMCLR_CHECK(of == modality.name(), "it is of ", simclr::printable(of), ", and this program takes ", modality.name());
}

fs::path weights_of(const std::string& run_or_file) {
  std::error_code error;
  const fs::path path = run_or_file;
  SIMCLR_CHECK(fs::exists(path, error), run_or_file,
               ": there is no such file or folder; give a run's folder or a .safetensors file");
  if (!fs::is_directory(path, error)) return path;
  if (fs::exists(path / weights_file, error)) return path / weights_file;
  const auto checkpoints = nn::CheckpointFolder(path / checkpoint_folder).list();
  if (!checkpoints.empty()) return checkpoints.front().path;
  std::vector<std::string> others;  // such as finetune's
  for (const auto& entry : fs::directory_iterator(path, error)) {
    if (entry.path().extension() == ".safetensors") others.push_back(entry.path().string());
  }
  SIMCLR_CHECK(others.empty(), run_or_file, ": holds no ", weights_file, "; give one of its files, such as ",
               *std::min_element(others.begin(), others.end()));
  SIMCLR_CHECK(!fs::exists(path / "config.json", error), run_or_file,
               ": this run has no weights yet; wait for its first checkpoint, or train it again");
  simclr::fail(run_or_file, ": holds no run: there is neither ", weights_file, " nor a checkpoint in it");
}

/// Whether a tensor of a file is what the kind keeps in its weights.
bool is_kept(const std::string& name, const Modality& modality) {
  const std::string_view prefix = prefix_of(name);
  return !prefix.empty() && name.substr(prefix.size()) == modality.kept_in_weights();
}

/// Lets `modality` take it from the encoder's state, where it keeps something there.
void take_kept(const std::vector<NamedTensor>& state, Modality& modality) {
  const std::string kept = modality.kept_in_weights();
  if (kept.empty()) return;
  const auto found = std::find_if(state.begin(), state.end(), [&](const auto& each) { return each.name == kept; });
  SIMCLR_CHECK(found != state.end(), "the weights hold no ", kept);
  modality.take_kept(found->value);
}

/// The value of a configuration's text; empty: it has none.
std::string text_of(const nlohmann::ordered_json& config, const char* key) {
  const auto found = config.find(key);
  return found != config.end() && found->is_string() ? found->get<std::string>() : "";
}

/// Whose configuration it is, where that may be why it cannot be used.
std::string other_version(const nlohmann::ordered_json& config) {
  const auto version = config.is_object() ? config.find("version") : config.end();
  if (version == config.end() || !version->is_string() || *version == SIMCLR_VERSION) return "";
  return "; it is of version " + version->get<std::string>() + ", this program of " SIMCLR_VERSION;
}

}  // namespace

EncoderFile open_encoder(const std::string& run_or_file, Modality& modality) {
  EncoderFile result;
  result.path = weights_of(run_or_file).string();
  bool torchvision = false;
  const simclr::TensorFile file = simclr::load_tensors(
      result.path, {.skip = [&torchvision](const std::string& name) {
        const bool named_as_ours = !prefix_of(name).empty();
        torchvision |= !named_as_ours && (name == "conv1.weight" || name.ends_with(".layer1.0.conv1.weight"));
        return !named_as_ours;
      }});
  const auto format = file.metadata.find("format");
  const bool ours = format != file.metadata.end() && format->second == "simclr";
  SIMCLR_CHECK(ours || !torchvision, result.path,
               ": these are torchvision's weights; first run torchvision_weights import ", result.path,
               " OUT.safetensors");
  SIMCLR_CHECK(ours, result.path, ": not weights of libsimclr: its metadata does not say \"format\": \"simclr\"");

  std::vector<NamedTensor> state;
  for (const NamedTensor& tensor : file.tensors) {
    state.push_back({tensor.name.substr(prefix_of(tensor.name).size()), tensor.value});
  }
  const auto config = file.metadata.find("config");
  SIMCLR_CHECK(config != file.metadata.end(), result.path,
               ": has no configuration (\"config\" in its metadata), so how its samples are prepared is not known");
  nn::check_finite(result.path, file.tensors, "; use an earlier checkpoint, or train it again");
  nn::check_variances(result.path, file.tensors, "; the file is damaged: use another copy");
  try {
    result.config = nlohmann::ordered_json::parse(config->second);
    const auto begun_in = file.metadata.find(started_in_key);  // of a checkpoint
    if (begun_in != file.metadata.end() && result.config.is_object()) result.config[started_in_key] = begun_in->second;
    add_started_in(result.config, result.path);
    check_modality(result.config, modality);
    modality.configure(result.config);
  } catch (const std::exception& error) {
    simclr::fail(result.path, ": its configuration cannot be used: ", error.what(), other_version(result.config));
  }
  try {
    take_kept(state, modality);
    result.encoder = modality.make_encoder(0);
    result.encoder->load_state(state);
  } catch (const simclr::Error& error) {
    simclr::fail(result.path, ": its encoder cannot be built: ", error.what());
  }
  result.cache_dir =
      cache_of_run(text_of(result.config, "cache_dir"), text_of(result.config, started_in_key), result.path);
  result.tower = modality.towers(false).front();
  result.description = modality.encoder_name() + ", " + std::to_string(result.encoder->output_features()) +
                       " features, from " + result.path + "; " + modality.view_name();
  return result;
}

void take_kept_of_run(const std::string& run, Modality& modality) {
  if (modality.kept_in_weights().empty()) return;
  std::vector<fs::path> files;
  for (const auto& checkpoint : nn::CheckpointFolder(fs::path(run) / checkpoint_folder).list()) {
    files.push_back(checkpoint.path);
  }
  files.push_back(fs::path(run) / checkpoint_folder / "best.safetensors");
  files.push_back(fs::path(run) / weights_file);
  for (const fs::path& file : files) {
    std::error_code error;
    if (!fs::exists(file, error)) continue;
    try {
      const auto read =
          simclr::load_tensors(file, {.skip = [&](const std::string& name) { return !is_kept(name, modality); }});
      if (read.tensors.empty()) continue;
      modality.take_kept(read.tensors.front().value);
      return;
    } catch (const simclr::Error&) {  // resuming says what is wrong with it
    }
  }
}

std::string modality_of_weights(const std::string& run_or_file) {
  const simclr::TensorFile file =
      simclr::load_tensors(weights_of(run_or_file), {.skip = [](const std::string&) { return true; }});
  const auto config = file.metadata.find("config");
  if (config == file.metadata.end()) return "";
  try {
    return text_of(nlohmann::ordered_json::parse(config->second), "modality");
  } catch (const std::exception&) {  // open_encoder() says what is wrong
    return "";
  }
}
